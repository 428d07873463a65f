"""Final errors against published values (parabolic) and a Monte Carlo reference (HJB-LQG).

`python -m benchmarks.pinn_references --json [--quick] [--runs heat_d10 lqg_d100 ...] [--seeds 5]`.
Trains the runs of `parabolic.yaml` and `hjb_lqg.yaml` in workflow/config/experiments as they are
written there, one after the other in this process, with seeds 0, 1, ... Figures of a run are those
after the *last* step, as [median, smallest, largest] over the seeds: relative L2 error, skill,
error of the trivial predictor, `reference_error` (the relative size of the 95% intervals of the
reference), and CPU seconds of training without evaluation. The last line is one JSON object.
"""

from pathlib import Path

import torch

from benchmarks.report import Report, parser
from benchmarks.training import over_seeds
from pipeline import experiment
from pipeline.training.pinn.config import PinnRun

EXPERIMENTS = Path(__file__).parents[1] / "workflow/config/experiments"
FILES = ("parabolic.yaml", "hjb_lqg.yaml")
# What `--quick` trains; of the others the references alone take most of a minute.
QUICK = ("heat_d10", "sine_gordon_d100", "allen_cahn_d100")


def runs() -> dict[str, PinnRun]:
    """Return the runs of both experiments by name."""
    found = [experiment.load(EXPERIMENTS / file).runs for file in FILES]
    return {name: run for each in found for name, run in each.items() if isinstance(run, PinnRun)}


def main() -> None:
    """Run the benchmark and print its figures."""
    known = runs()
    arguments = parser(__doc__, f"one seed of {', '.join(QUICK)}")
    arguments.add_argument("--runs", nargs="+", choices=list(known), metavar="NAME")
    arguments.add_argument("--seeds", type=int, default=5)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    seeds = 1 if options.quick else options.seeds
    report = Report("pinn_references", options, num_threads=1, seeds=seeds)
    for name in options.runs or (QUICK if options.quick else known):
        found = over_seeds(name, known[name], seeds, lambda task: task.final(task.model))
        report.add({f"{name}_{key}": three for key, three in found.items()})
    report.finish()


if __name__ == "__main__":
    main()
