"""CPU time and peak memory of one full PINN training step: ours, in JAX, and STDE's own.

`python -m benchmarks.pinn_step --json [--quick] [--stde CHECKOUT] [--dims 100 ...]`. Every arm is a
process of its own on one core (`pinn_arms`): `taylor` and `exact_gram` (ours), both also with
`train.compile`, `double_backward` (the sampled estimate as one writes it in PyTorch), `full` (every
axis by nested forward mode), `collapsed_jax` (our algorithm in JAX) and `stde` (the authors'
script). Both of these are compiled, too. The arms take turns within a round. A time is the median
over rounds of the CPU time of a step, which repeats on a busy machine where wall time does not; a
ratio is the median over rounds of ratios, which repeats where the machine itself changes its pace.
An arm whose packages or checkout are missing is null. The packages are those of the extra `bench`,
the checkout is `git clone https://github.com/sail-sg/stde`. The last line is one JSON object.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.pinn_arms import AXES, BATCH
from benchmarks.report import Report, parser
from cluster.ray_cluster import HUGE_PAGES

# By dimension, the steps of a turn of each arm.
TURNS = {
    100: {
        "taylor": 40, "taylor_compiled": 40, "collapsed_jax": 40, "stde": 20, "exact_gram": 10,
        "exact_gram_compiled": 10, "double_backward": 10, "full": 1,
    },
    1_000: {
        "taylor": 30, "taylor_compiled": 30, "collapsed_jax": 30, "stde": 15, "exact_gram": 10,
        "exact_gram_compiled": 10, "double_backward": 5, "full": 1,
    },
    10_000: {
        "taylor": 10, "taylor_compiled": 10, "collapsed_jax": 10, "stde": 3, "exact_gram": 5,
        "exact_gram_compiled": 5, "double_backward": 1,
    },
    100_000: {
        "taylor": 4, "taylor_compiled": 4, "collapsed_jax": 4, "stde": 1, "exact_gram": 4,
        "exact_gram_compiled": 4, "double_backward": 1,
    },
}  # fmt: skip
_SLOW_MS = 2000.0
_SLOW_TURNS = 3


class Arm:
    """A process that takes steps when asked; used as a context, it is ended on exit."""

    def __init__(self, kind: str, dim: int, steps: int, checkout: Path | None) -> None:
        self.kind, self.steps = kind, steps
        self.answers = list[dict[str, float]]()
        command = [sys.executable, "-m", "benchmarks.pinn_arms", kind, str(dim)]
        command += [str(checkout)] if kind == "stde" else []
        core = max(os.sched_getaffinity(0))
        one = {"OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=os.environ | one | HUGE_PAGES, encoding="utf-8", errors="replace"
        )  # fmt: skip

    def __enter__(self) -> "Arm":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def take(self, steps: int) -> dict[str, float] | None:
        """Take some steps and return the answer; None if the process has ended."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            print(steps, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            return None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def turn(self) -> None:
        """Take one turn of a round; a slow arm is content with three."""
        slow = bool(self.answers) and self.answers[0]["ms"] > _SLOW_MS
        if slow and len(self.answers) >= _SLOW_TURNS:
            return
        answer = self.take(self.steps)
        if answer is None:
            raise RuntimeError(f"{self.kind}: {self.complaint()}")
        self.answers.append(answer)

    def median(self, key: str) -> float:
        """Return the median over the turns."""
        return statistics.median(answer[key] for answer in self.answers)

    def complaint(self) -> str:
        """Return the last line that the ended process wrote to its standard error."""
        assert self.process.stderr is not None
        lines = self.process.stderr.read().split("\n")
        return next((line for line in reversed(lines) if line.strip()), "ended")


def measure(dim: int, rounds: int, checkout: Path | None) -> dict[str, float | None]:
    """Return `<arm>_d<dim>_ms` and `_mb` for every arm, and the ratios of times to both `taylor`.

    Raises:
        RuntimeError: an arm of ours ended, or those with sampled axes, which compute the same,
            disagree in the first loss.
    """
    found: dict[str, float | None] = {}
    with contextlib.ExitStack() as stack:
        arms, first = list[Arm](), {}
        for kind, steps in TURNS[dim].items():
            found |= {f"{kind}_d{dim}_ms": None, f"{kind}_d{dim}_mb": None}
            if kind == "stde" and checkout is None:
                continue
            arm = stack.enter_context(Arm(kind, dim, steps, checkout))
            # The first step compiles and warms up.
            if (answer := arm.take(1)) is not None:
                arms.append(arm)
                first[kind] = answer["loss"]
            elif kind in ("stde", "collapsed_jax"):
                print(f"{kind} is absent: {arm.complaint()}", file=sys.stderr, flush=True)
            else:
                raise RuntimeError(f"{kind}: {arm.complaint()}")
        same = [first[kind] for kind in ("taylor", "taylor_compiled", "double_backward")]
        if max(same) - min(same) > 1e-3 * first["taylor"]:
            raise RuntimeError(f"d={dim}: expected equal losses of the sampling arms, got {first}")
        for _ in range(rounds):
            for arm in arms:
                arm.turn()
        for arm in arms:
            found[f"{arm.kind}_d{dim}_ms"] = round(arm.median("ms"), 2)
            found[f"{arm.kind}_d{dim}_mb"] = round(arm.answers[-1]["peak_mb"])
        for ours in arms[:2]:
            for arm in arms:
                if arm is not ours:
                    pairs = zip(arm.answers, ours.answers, strict=False)
                    ratio = statistics.median(theirs["ms"] / mine["ms"] for theirs, mine in pairs)
                    found[f"{arm.kind}_over_{ours.kind}_d{dim}"] = round(ratio, 2)
    return found


def main() -> None:
    """Run the benchmark and print its figures."""
    arguments = parser(__doc__, "3 rounds, d = 100 only")
    arguments.add_argument("--stde", type=Path, help="a checkout of github.com/sail-sg/stde")
    arguments.add_argument("--dims", type=int, nargs="+", choices=sorted(TURNS))
    options = arguments.parse_args()
    if options.stde is not None and not (options.stde / "sine_gordon.py").is_file():
        arguments.error(f"--stde: expected a folder with sine_gordon.py, got {options.stde}")
    rounds = 3 if options.quick else 9
    report = Report("pinn_step", options, batch_size=BATCH, directions=AXES, rounds=rounds)
    for dim in [100] if options.quick else options.dims or sorted(TURNS):
        report.add(measure(dim, rounds, options.stde))
    report.finish("jax", "optax", "dm-haiku")


if __name__ == "__main__":
    main()
