"""CPU time of one full PINN training step: collapsed jets, plain SDGD, and every axis.

`python -m benchmarks.pinn_step --json [--quick]`. A step is points, source term, estimate, loss,
backward and Adam on the Sine-Gordon two-body problem: batch 100, 16 axes, a 128 × 4 tanh network,
one thread. Arms: `sdgd` (ours), `double_backward` (the same estimate as one writes it in PyTorch:
two reverse passes an axis) and `full` (our naive baseline, every axis by nested forward mode).
The arms take turns within a round; a figure is the median over rounds of the CPU time of the
process, which repeats on a busy machine where wall time does not. The last line is one JSON object.
"""

import statistics
import time

import torch

from benchmarks.report import Report, parser
from pipeline.config import PinnRun
from pipeline.training.pinn import Task

BATCH, AXES = 100, 16


class Arm:
    """One way to take training steps; `milliseconds` takes some and times them."""

    def __init__(self, name: str, dim: int, steps: int):
        estimator = {"kind": name} | ({} if name == "full" else {"sampled_axes": AXES})
        run = PinnRun.model_validate(
            {
                "problem": {"kind": "two_body", "dim": dim},
                "model": {"kind": "mlp"},
                "estimator": estimator,
                "train": {
                    "num_steps": 10_000, "learning_rate": 1e-3, "batch_size": BATCH,
                    "num_test_points": 1,
                },
            }
        )  # fmt: skip
        self.task = Task(run, 0, torch.device("cpu"))
        self.optimizer, self.scheduler = self.task.configure_optimizer(self.task.model)
        self.steps, self.done, self.losses = steps, 0, list[float]()

    def milliseconds(self) -> float:
        """Return the CPU time of one step, the mean over `steps` of them."""
        start = time.process_time()
        for _ in range(self.steps):
            self.optimizer.zero_grad()
            loss = self.task.loss(self.task.model, self.done, 0, 1)
            loss.backward()
            self.optimizer.step()
            self.scheduler.step()
            self.losses.append(loss.item())
            self.done += 1
        return (time.process_time() - start) / self.steps * 1e3


def measure(dim: int, steps: dict[str, int], rounds: int) -> dict[str, float]:
    """Return `<arm>_d<dim>_ms` for every arm of `steps`, and the ratios to ours.

    Raises:
        RuntimeError: the two SDGD arms, which compute the same, disagree in the first loss.
    """
    arms = {name: Arm(name, dim, number) for name, number in steps.items()}
    times: dict[str, list[float]] = {name: [] for name in arms}
    for round_ in range(rounds + 1):
        for name, arm in arms.items():
            # The first round warms up; the baseline's single long step needs none.
            if round_ or name == "full":
                if name == "full" and len(times[name]) >= 3:
                    continue
                times[name].append(arm.milliseconds())
            else:
                arm.milliseconds()
    first = [arms[name].losses[0] for name in ("sdgd", "double_backward")]
    if abs(first[0] - first[1]) > 1e-3 * abs(first[0]):
        raise RuntimeError(f"d={dim}: expected equal losses of the SDGD arms, got {first}")
    medians = {name: statistics.median(values) for name, values in times.items()}
    figures = {f"{name}_d{dim}_ms": round(value, 2) for name, value in medians.items()}
    for name, value in medians.items():
        if name != "sdgd":
            figures[f"{name}_over_sdgd_d{dim}"] = round(value / medians["sdgd"], 2)
    return figures


def main() -> None:
    """Run the benchmark and print its figures."""
    options = parser(__doc__, "fewer rounds, no full at d = 1000").parse_args()
    torch.set_num_threads(1)
    rounds = 3 if options.quick else 9
    sizes = {
        100: {"sdgd": 20, "double_backward": 10, "full": 1},
        1000: {"sdgd": 20, "double_backward": 5, **({} if options.quick else {"full": 1})},
        10_000: {"sdgd": 5, "double_backward": 1},
    }
    setting = {"batch_size": BATCH, "sampled_axes": AXES, "num_threads": 1, "rounds": rounds}
    report = Report("pinn_step", options, **setting)
    for dim, steps in sizes.items():
        report.add(measure(dim, steps, rounds))
    report.finish()


if __name__ == "__main__":
    main()
