"""CPU time of one training step of the 2-D FNO: ours and neuraloperator's, taking turns.

`python -m benchmarks.fno_step --json [--quick]`. A step is forward, relative L2 loss, backward and
Adam on a batch of 20 fields of 64 × 64 points, four layers, one thread. Arms: `ours` and
`neuraloperator` (its FNO with the same modes, width and projection; reported as absent if it is
not installed). A figure is the median over rounds of the CPU time of the process, which repeats on
a busy machine where wall time does not. The last line is one JSON object.
"""

import importlib
import statistics
import time

import torch
from torch import nn

from benchmarks.report import Report, parser
from pipeline.models.fno import model as fno
from pipeline.models.fno.config import FNO
from pipeline.training.operator.task import relative_l2

BATCH, POINTS = 20, 64
SIZES = ((32, 12), (64, 16))


class Arm:
    """A model and its optimiser; `milliseconds` takes one step and times it."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def milliseconds(self, inputs: torch.Tensor, targets: torch.Tensor) -> float:
        """Return the CPU time of one training step."""
        start = time.process_time()
        self.optimizer.zero_grad(set_to_none=True)
        relative_l2(self.model(inputs), targets).mean().backward()
        self.optimizer.step()
        return (time.process_time() - start) * 1e3


def peer(width: int, modes: int) -> nn.Module | None:
    """Return neuraloperator's FNO, or None if it is not installed.

    Its `n_modes` counts positive and negative frequencies; of the last axis it keeps m + 1.
    """
    try:
        models = importlib.import_module("neuralop.models")
    except ModuleNotFoundError:
        return None
    model: nn.Module = models.FNO(
        n_modes=(2 * modes, 2 * modes),
        in_channels=1,
        out_channels=1,
        hidden_channels=width,
        n_layers=4,
        projection_channel_ratio=128 / width,
    )
    return model


def measure(width: int, modes: int, rounds: int) -> dict[str, float | str]:
    """Return the median times in ms, numbers of parameters, and the ratio peer / ours."""
    torch.manual_seed(0)
    ours = fno.build(FNO(kind="fno", modes=(modes, modes), width=width), 1, 1, 2)
    models = {"ours": ours, "neuraloperator": peer(width, modes)}
    arms = {name: Arm(model) for name, model in models.items() if model is not None}
    inputs, targets = torch.randn(2, BATCH, 1, POINTS, POINTS)
    times: dict[str, list[float]] = {name: [] for name in arms}
    for round_ in range(rounds + 2):
        for name, arm in arms.items():
            taken = arm.milliseconds(inputs, targets)
            if round_ >= 2:  # the first rounds warm up
                times[name].append(taken)
    label = f"c{width}_m{modes}"
    figures: dict[str, float | str] = {"neuraloperator": "absent"} if len(arms) == 1 else {}
    for name, arm in arms.items():
        figures[f"{name}_{label}_ms"] = round(statistics.median(times[name]), 1)
        figures[f"{name}_{label}_parameters"] = sum(p.numel() for p in arm.model.parameters())
    if len(arms) == 2:
        ratio = statistics.median(times["neuraloperator"]) / statistics.median(times["ours"])
        figures[f"neuraloperator_over_ours_{label}"] = round(ratio, 2)
    return figures


def main() -> None:
    """Run the benchmark and print its figures."""
    options = parser(__doc__, "the small network, fewer rounds").parse_args()
    torch.set_num_threads(1)
    rounds = 5 if options.quick else 15
    setting = {"batch_size": BATCH, "grid": [POINTS, POINTS], "num_threads": 1, "rounds": rounds}
    report = Report("fno_step", options, **setting)
    for width, modes in SIZES[:1] if options.quick else SIZES:
        report.add(measure(width, modes, rounds))
    report.finish("neuraloperator")


if __name__ == "__main__":
    main()
