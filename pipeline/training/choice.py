"""The estimator of a run that says `auto`: measured once, kept, and taken again ever after.

The choice lies beside the state of the run and outlives it: a resumed run and a rerun of the same
configuration, seed and source take it without measuring, so that their numbers are the same.
"""

import importlib
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from pipeline.config import SDGD, Auto, ExactGram, PinnRun
from pipeline.provenance import write_json

_STEPS = 5


def settled(
    run: PinnRun, *, name: str, seed: int, digest: str, file: Path
) -> tuple[PinnRun, dict[str, Any]]:
    """Return `run` with the estimator to use in place of `auto`, and the record of the choice.

    The record is {"kind", "milliseconds": {kind: CPU time of a step}}; it is empty for a run that
    names its estimator. `digest` is that of all that shapes the run; `file` keeps the choice.
    """
    if not isinstance(run.estimator, Auto):
        return run, {}
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {}
    if kept.get("digest") != digest:
        kept = {"digest": digest, **_measured(run, run.estimator, seed)}
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, kept)
    kind, milliseconds = kept["kind"], kept["milliseconds"]
    times = ", ".join(f"{key} {value:.1f} ms" for key, value in milliseconds.items())
    print(f"{name}: estimator {kind} (a step measured with {times})", flush=True)
    axes = min(run.estimator.sampled_axes, run.problem.dim)
    chosen = ExactGram(kind=kind) if kind == "exact_gram" else SDGD(kind=kind, sampled_axes=axes)
    record = {"kind": kind, "milliseconds": milliseconds}
    return run.model_copy(update={"estimator": chosen}), record


def _measured(run: PinnRun, settings: Auto, seed: int) -> dict[str, Any]:
    """Return the kind to take and the median CPU time (ms) of a step with each candidate."""
    # Loaded by name: what a run of another kind imports must not depend on them.
    auto = importlib.import_module("pipeline.estimators.auto")
    pinn = importlib.import_module("pipeline.training.pinn")
    axes = SDGD(kind="sdgd", sampled_axes=min(settings.sampled_axes, run.problem.dim))
    train = run.train.model_copy(update={"num_test_points": 1})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task = pinn.Task(run.model_copy(update={"estimator": axes, "train": train}), seed, device)
    milliseconds = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for kind, (_, estimator) in auto.candidates(settings, task.problem, task.model).items():
            task.estimator = estimator
            milliseconds[kind] = _step_ms(task, device)
    finally:
        torch.set_num_threads(threads)
    return {"kind": auto.choose(settings, milliseconds), "milliseconds": milliseconds}


def _step_ms(task: Any, device: torch.device) -> float:
    """Return the median time of loss and backward pass: of the processor, or of a GPU."""
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
