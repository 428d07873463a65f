"""The estimator of a run that says `auto`: measured once, then stored and used again.

The choice lies beside the state of the run and outlives it: a resumed run and a rerun of the same
configuration, seed and source take it without measuring, so that their numbers are the same.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pipeline.estimators.auto.config import Auto
from pipeline.estimators.exact_gram.config import ExactGram
from pipeline.estimators.sdgd.config import SDGD
from pipeline.kinds import implementation
from pipeline.runtime.provenance import write_json
from pipeline.training.pinn.config import PinnRun

# Returns the task of a run, of (run, seed, device).
Build = Callable[[PinnRun, int, torch.device], Any]
_STEPS = 5
_MOST_CHOICES = 20


def settled(
    run: PinnRun, build: Build, *, name: str, seed: int, digest: str, file: Path
) -> tuple[PinnRun, dict[str, Any]]:
    """Return `run` with the estimator to use in place of `auto`, and the record of the choice.

    The record is {"kind", "milliseconds": {kind: CPU time of a step}}; it is empty for a run that
    names its estimator. `build` makes the task to measure. `digest` is that of all that shapes
    the run; `file` keeps the choice.
    """
    if not isinstance(run.estimator, Auto):
        return run, {}
    choices = _read(file)
    if digest not in choices:
        # The newest last, so that the oldest is forgotten; going back to a configuration whose
        # state is kept must not measure anew.
        choices[digest] = _measured(run, build, run.estimator, seed)
        write_json(file, {"choices": dict(list(choices.items())[-_MOST_CHOICES:])})
    found = choices[digest]
    kind, milliseconds = found["kind"], found["milliseconds"]
    times = ", ".join(f"{key} {value:.1f} ms" for key, value in milliseconds.items())
    print(f"{name}: estimator {kind} (a step measured with {times})", flush=True)
    axes = min(run.estimator.sampled_axes, run.problem.dim)
    chosen = ExactGram(kind=kind) if kind == "exact_gram" else SDGD(kind=kind, sampled_axes=axes)
    record = {"kind": kind, "milliseconds": milliseconds}
    return run.model_copy(update={"estimator": chosen}), record


def _read(file: Path) -> dict[str, dict[str, Any]]:
    """Return the choices in `file` by digest, the oldest first; none if it cannot be read."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if "digest" in content:  # of an earlier version, which kept one
            return {content["digest"]: content}
        found = dict(content["choices"])
        is_whole = all({"kind", "milliseconds"} <= set(choice) for choice in found.values())
    except (OSError, ValueError, TypeError, LookupError):
        return {}
    return found if is_whole else {}


def _measured(run: PinnRun, build: Build, settings: Auto, seed: int) -> dict[str, Any]:
    """Return the kind to take and the median CPU time (ms) of a step with each candidate."""
    auto = implementation(settings)
    axes = SDGD(kind="sdgd", sampled_axes=min(settings.sampled_axes, run.problem.dim))
    train = run.train.model_copy(update={"num_test_points": 1})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # `auto` itself builds no estimator: that of the task is replaced below.
    task = build(run.model_copy(update={"estimator": axes, "train": train}), seed, device)
    milliseconds = {}
    threads = torch.get_num_threads()
    # Workers run on one thread each, on a CPU.
    torch.set_num_threads(1)
    try:
        for kind, (_, estimator) in auto.candidates(settings, task.problem, task.model).items():
            task.residual.estimator = estimator
            milliseconds[kind] = _step_ms(task, device)
    finally:
        torch.set_num_threads(threads)
    return {"kind": auto.choose(settings, milliseconds), "milliseconds": milliseconds}


def _step_ms(task: Any, device: torch.device) -> float:
    """Return the median time of loss and backward pass: of the processor, or of a GPU."""
    # Processor time does not see what else runs on a machine.
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    times = []
    for step in range(_STEPS + 1):
        start = clock()
        task.loss(task.model, step, 0, 1).backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(1e3 * (clock() - start))
    # The first step warms up.
    return round(statistics.median(times[1:]), 3)
