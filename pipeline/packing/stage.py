"""The search stage: each bound a Ray task that goes on from its last iterate after a kill.

The state of a search lies in `<state>/<digest>`, keyed by everything its numbers depend on, and is
replaced whole. Whatever is killed, and whenever, the next start with the same digest goes on from
the last state that was saved, and its certificate equals that of an undisturbed search.

A formulation is a module `pipeline.packing.<kind>.search` with

    search(formulation, precision_bits, *, resume, reached) -> Found
    progress(state) -> str

where `reached` is given states, JSON objects, and `resume` is one of them or None.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cluster.ray_cluster import session
from pipeline.errors import PipelineError, SolverError, brief
from pipeline.kinds import implementation
from pipeline.packing import config
from pipeline.packing.base import TRACE_VERSION
from pipeline.runtime import disk, kept
from pipeline.runtime.job import Job
from pipeline.runtime.provenance import write_json

TRACE, CANDIDATE = "trace.json", "candidate.json"
_STATE = "state.json"
# A rung may take milliseconds: saving each would cost more than a second of work that is lost.
_SAVE_EVERY_S = 1.0
_SHOW_EVERY_S = 10.0


def run(job: Job, bound: config.Bound, *, num_workers: int, ray_address: str = "") -> None:
    """Write trace.json, candidate.json and, last, run.json of one bound.

    trace.json: {"schema_version": 2, "name", "dim", "label": "empirical", "evaluations":
    [{"parameters": {name: number}, "bound", "newton_steps", "seconds"}], "failed": [{"parameters",
    "reason"}]}.
    candidate.json: the certificate of the last evaluation (`certify.format`). All numbers are
    claims of the solver until `pipeline.certify` has proved them. The job's seed is recorded only:
    the search is deterministic. The Ray with `num_workers` CPUs is its own or the one at
    `ray_address` (see `ray_cluster.session`).

    Raises:
        SolverError: no evaluation gave a certificate.
        PlaceError: the results cannot be written.
        PipelineError: another process searches with the same state and does not end.
    """
    name, dim, output = job.name, bound.formulation.dim, job.output.resolve()
    with job.running(bound, files=(TRACE, CANDIDATE)) as work:
        found = _on_ray(bound, name, work.folder, num_workers, ray_address)
        for failure in found["failed"]:
            where = _parameters(failure)
            print(f"{name}: {where} failed: {failure['reason']}", flush=True)
        if found["certificate"] is None:
            raise SolverError(f"bounds.{name}: {found['failed'][0]['reason']}")
        for evaluation in found["evaluations"]:
            print(f"{name}: {_told(evaluation)}", flush=True)
        best = found["evaluations"][-1]
        trace = {
            "schema_version": TRACE_VERSION,
            "name": name,
            "dim": dim,
            "label": "empirical",
            "evaluations": found["evaluations"],
            "failed": found["failed"],
        }
        write_json(output / TRACE, trace)
        write_json(output / CANDIDATE, found["certificate"])
        # Every formulation has one parameter so far, and it is a degree.
        (degree,) = best["parameters"].values()
        work.summary.update(label="empirical", bound=best["bound"], degree=degree)
    print(f"{name}: claims {best['bound']} at {_parameters(best)}, not yet proved")


def solve(
    bound: dict[str, Any], folder: Path, save_every_s: float = _SAVE_EVERY_S
) -> dict[str, Any]:
    """Return what the search of `bound` found, as JSON values, going on from the state in `folder`.

    Saves the state there about every `save_every_s` seconds. Runs in a Ray worker.

    Raises:
        DiskError: there is no room for the state.
    """
    part = config.Bound.model_validate(bound)
    formulation = implementation(part.formulation)
    with disk.explained(folder):
        found = formulation.search(
            part.formulation,
            part.solver.precision_bits,
            resume=_saved(folder),
            reached=_saver(folder, save_every_s, formulation.progress),
        )
    return asdict(found)


def _on_ray(
    bound: config.Bound, name: str, folder: Path, num_workers: int, ray_address: str
) -> dict[str, Any]:
    """Return what `solve` gives in a Ray worker; its foreseen errors are raised as they were."""
    formulation = implementation(bound.formulation)
    if (before := _saved(folder)) is not None:
        print(f"{name}: goes on from {formulation.progress(before)}", flush=True)
    with session(num_workers, address=ray_address):
        import ray

        # Ray starts it again if its worker is lost: from the saved state.
        task = ray.remote(solve).remote(bound.model_dump(mode="json"), folder)
        shown = ""
        while not ray.wait([task], timeout=_SHOW_EVERY_S)[0]:
            state = _saved(folder)
            if state is not None and (now := formulation.progress(state)) != shown:
                print(f"{name}: {now}", flush=True)
                shown = now
        try:
            found: dict[str, Any] = ray.get(task)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, PipelineError):
                raise error.cause from None
            raise PipelineError(f"bounds.{name}: {brief(error.cause)}") from error
        except ray.exceptions.RayError as error:
            raise PipelineError(f"bounds.{name}: {brief(error)}") from error
    return found


def _saver(
    folder: Path, every_s: float, progress: Callable[[dict[str, Any]], str]
) -> Callable[[dict[str, Any]], None]:
    """Return a function that replaces the saved state unless it was replaced just before."""
    # From now: a search of less than a second leaves no state, and needs none.
    last = time.monotonic()

    def save(state: dict[str, Any]) -> None:
        nonlocal last
        if time.monotonic() - last >= every_s:
            write_json(folder / _STATE, state)
            kept.set_reached(folder, progress(state))
            last = time.monotonic()

    return save


def _saved(folder: Path) -> dict[str, Any] | None:
    """Return the saved state; None if there is none, or a power failure left less than a file."""
    try:
        state: dict[str, Any] = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return state


def _told(evaluation: dict[str, Any]) -> str:
    """Return one line about an evaluation; the report compares it with published values."""
    return (
        f"{_parameters(evaluation)}: bound {evaluation['bound']} (empirical),"
        f" {evaluation['newton_steps']} Newton steps, {evaluation['seconds']:.1f} s"
    )


def _parameters(found: dict[str, Any]) -> str:
    """Return the parameters of an evaluation or a failure, as in "degree 31"."""
    items = found["parameters"].items()
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in items)
