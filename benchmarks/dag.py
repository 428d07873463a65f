"""What N training runs cost Snakemake: parsing, planning, each cluster job, each local job.

`python -m benchmarks.dag --json [--quick] [--checkout PATH]`. The experiment has N PINN runs that
differ in dim, seed and number of steps. Arms, each a real `snakemake` on this checkout's Snakefile:
`parse` (`--list-rules`: imports, experiment file, rules), `parse_yaml` (the same experiment as
YAML: the others read JSON), `dry_run` (`-n --quiet all`: parse, DAG, schedule), `job` (what every
job of a cluster pays first: the command line that Snakemake gives to its jobs, as a dry run) and
`local` (all N jobs run for real on two cores, with a stand-in for the stage scripts that only
touches the outputs: scheduling, one Python process a job, records). A figure is the CPU time of
the process and its children, which repeats on a busy machine, with the wall time beside it; the
best of three where it is short. The last line is one JSON object.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.report import Report, parser

ROOT = Path(__file__).resolve().parents[1]
# In place of a stage: makes every output of the job, at once.
STAND_IN = """from pathlib import Path
for output in snakemake.output:
    if Path(output).suffix:
        Path(output).touch()
    else:
        Path(output).mkdir(exist_ok=True)
"""
# As Snakemake's executors compose it (`spawn_jobs.py`, `executors/real.py`).
JOB = (
    "--target-jobs train:run=run_00001 --allowed-rules train --attempt 1 --force-use-threads"
    " --force --target-files-omit-workdir-adjustment --max-inventory-time 0 --retries 0 --nocolor"
    " --no-hooks --nolock --ignore-incomplete --mode remote --executor dryrun --cores 2 --quiet all"
)


def experiment(num_runs: int) -> dict[str, object]:
    """Return an experiment of `num_runs` small PINN runs."""
    runs = {
        f"run_{index:05d}": {
            "problem": {"kind": "two_body", "dim": 100 + index % 900, "coefficient_seed": index},
            "model": {"kind": "mlp", "width": 32},
            "estimator": {"kind": "sdgd", "sampled_axes": 16},
            "train": {"num_steps": 1000 + index, "num_workers": 1},
        }
        for index in range(num_runs)
    }
    return {"schema_version": 1, "seed": 7, "runs": runs}


@dataclass(frozen=True)
class Workplace:
    """An empty working directory and the checkout whose Snakefile runs in it."""

    checkout: Path
    folder: Path

    def snakemake(
        self, num_runs: int, *arguments: str, suffix: str = "json"
    ) -> tuple[float, float]:
        """Return (CPU s, wall s) of one `snakemake` on the experiment of `num_runs` runs."""
        file = self.folder / f"{num_runs}.{suffix}"
        if not file.exists():
            content = experiment(num_runs)
            file.write_text(
                json.dumps(content) if suffix == "json" else yaml.safe_dump(content),
                encoding="utf-8",
            )
        before, clock = _children_cpu(), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--snakefile", str(self.checkout / "Snakefile"),
             "--configfile", str(file), *arguments],
            cwd=self.folder, env=os.environ | {"PYTHONPATH": str(self.checkout)},
            capture_output=True, text=True, check=False, encoding="utf-8", errors="replace"
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"snakemake {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return _children_cpu() - before, time.perf_counter() - clock


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def stand_in_checkout(checkout: Path, folder: Path) -> Path:
    """Return a copy of the workflow whose stage scripts only touch their outputs."""
    copy = folder / "stand_in"
    for name in ("workflow", "pipeline", "cluster"):
        shutil.copytree(checkout / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(checkout / "Snakefile", copy)
    (copy / "profiles").symlink_to("workflow/profiles")
    for script in (copy / "workflow/scripts").glob("*.py"):
        script.write_text(STAND_IN, encoding="utf-8")
    return copy


def run_all(copy: Path, num_runs: int) -> tuple[float, float]:
    """Return (CPU s, wall s) of running every job, in a fresh folder."""
    with tempfile.TemporaryDirectory() as folder:
        spent = Workplace(copy, Path(folder)).snakemake(num_runs, "--cores", "2", "--quiet", "all")
        made = len(list(Path(folder).glob("results/*/train/*/run.json")))
        if made != num_runs:
            raise RuntimeError(f"local: expected {num_runs} results, got {made}")
    return spent


def measure(place: Workplace, copy: Path, num_runs: int, report: Report, quick: bool) -> None:
    """Report `<arm>_n<num_runs>_{cpu,wall}_s` for every arm."""
    at = place.snakemake
    arms: dict[str, Callable[[], tuple[float, float]]] = {
        "parse": lambda: at(num_runs, "--list-rules"),
        "parse_yaml": lambda: at(num_runs, "--list-rules", suffix="yaml"),
        "job": lambda: at(num_runs, *JOB.split()),
        "dry_run": lambda: at(num_runs, "-n", "--quiet", "all"),
    }
    if num_runs <= (100 if quick else 1000):
        arms["local"] = lambda: run_all(copy, num_runs)
    for name, arm in arms.items():
        tries = [arm()]
        while len(tries) < 3 and tries[0][1] < 10 and name != "local" and not quick:
            tries.append(arm())
        cpu, wall = min(tries)
        key = f"{name}_n{num_runs}"
        report.add({f"{key}_cpu_s": round(cpu, 2), f"{key}_wall_s": round(wall, 2)})


def main() -> None:
    """Run the benchmark and print its figures."""
    command = parser(__doc__, "no experiment of 10,000 runs")
    command.add_argument("--checkout", type=Path, default=ROOT, help="measure another checkout")
    options = command.parse_args()
    report = Report("dag", options)
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(options.checkout.resolve(), Path(folder))
        copy = stand_in_checkout(place.checkout, place.folder)
        for num_runs in (100, 1000) if options.quick else (100, 1000, 10_000):
            measure(place, copy, num_runs, report, options.quick)
    report.finish()


if __name__ == "__main__":
    main()
