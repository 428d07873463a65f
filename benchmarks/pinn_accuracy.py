"""Final errors on the two-body problem with Σc = 0: Adam as published, and Kaczmarz steps.

`python -m benchmarks.pinn_accuracy --json [--quick] [--dims 1000 10000] [--seeds 5]`. Sine-Gordon,
coefficient seed 0, 16 sampled axes, 128 × 4 tanh network. Arms: `adam_linear`, the published
10,000 steps on 100 points with the rate falling linearly from 1e-3; `adam_cosine`, the same with
half a cosine; `kaczmarz`, a polynomial of degree 2 (1 from d = 10,000 on) moved by
natural-gradient steps in sample space, the network at zero. Figures are those of the *last* step on
20,000 test points: relative L2 error, skill, and CPU seconds of one thread of training without the
evaluation, as medians, smallest and largest over the seeds. The last line is one JSON object.
"""

import torch

from benchmarks.report import Report, parser
from benchmarks.training import over_seeds
from pipeline.training.pinn.config import PinnRun

ARMS = ("kaczmarz", "adam_linear", "adam_cosine")
# By dimension: (steps, points a step) of the Kaczmarz arm.
LENGTHS = {100: (2000, 200), 1000: (14_000, 200), 10_000: (2000, 100)}
QUICK = {100: (500, 100)}


def run_of(arm: str, dim: int, steps: int, batch: int) -> PinnRun:
    """Return the run of an arm."""
    problem = {"kind": "two_body", "dim": dim}
    model = {"kind": "mlp"}
    optimizer: dict[str, object] = {"kind": "adam", "decay": arm.removeprefix("adam_")}
    if arm == "kaczmarz":
        problem["radius_exponent"] = 0.2
        model["skip"] = "quadratic" if dim < 10_000 else "linear"
        optimizer = {"kind": "kaczmarz", "network_after": 1.0}
    return PinnRun.model_validate(
        {
            "problem": problem,
            "model": model,
            "estimator": {"kind": "sdgd", "sampled_axes": 16},
            "train": {
                "num_steps": steps, "batch_size": batch, "learning_rate": 1e-3, "num_workers": 1,
                "optimizer": optimizer,
            },
        }
    )  # fmt: skip


def main() -> None:
    """Run the benchmark and print its figures."""
    arguments = parser(__doc__, "d = 100, one seed, few steps")
    arguments.add_argument("--dims", type=int, nargs="+", choices=sorted(LENGTHS))
    arguments.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    arguments.add_argument("--seeds", type=int, default=5)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    seeds = 1 if options.quick else options.seeds
    report = Report("pinn_accuracy", options, num_threads=1, seeds=seeds)
    for dim in [100] if options.quick else options.dims or sorted(LENGTHS):
        for arm in options.arms:
            steps, batch = (QUICK if options.quick else LENGTHS)[dim]
            if arm != "kaczmarz":
                steps, batch = (steps if options.quick else 10_000), 100
            run = run_of(arm, dim, steps, batch)
            found = over_seeds(f"d={dim} {arm}", run, seeds, lambda task: task.evaluate(task.model))
            report.add({f"{arm}_d{dim}_{key}": three for key, three in found.items()})
    report.finish()


if __name__ == "__main__":
    main()
