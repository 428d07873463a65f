"""The same run over seeds: mean and standard error of each number that all of them have.

Runs are the same if their configurations are, their data sets included: neither names nor titles
count. A seed counts once, however many experiments have it.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

from pipeline.aggregate.across import differences
from pipeline.aggregate.across.experiments import Member
from pipeline.aggregate.describe import method_title, problem_title
from pipeline.aggregate.read.results import RunResult


@dataclass(frozen=True)
class Statistic:
    """A number over seeds. `standard_error` is that of the mean, None for one seed."""

    values: tuple[float, ...]
    mean: float
    standard_error: float | None

    @property
    def n(self) -> int:
        """Return the number of seeds."""
        return len(self.values)


@dataclass(frozen=True)
class SameRun:
    """A run that several experiments may have: (experiment, run) in the order of experiments."""

    members: tuple[tuple[Member, RunResult], ...]

    @property
    def names(self) -> list[str]:
        """Return the names that experiments give it."""
        return list(dict.fromkeys(run.name for _, run in self.members))

    @property
    def problem(self) -> str:
        """Return the problem that it solves."""
        member, run = self.members[0]
        return problem_title(run.config, member.results.experiment)

    @property
    def method(self) -> str:
        """Return model, estimator and optimiser."""
        return method_title(self.members[0][1].config)

    @cached_property
    def by_seed(self) -> dict[int, tuple[Member, RunResult]]:
        """Return the run of each seed: the first experiment that has it."""
        found: dict[int, tuple[Member, RunResult]] = {}
        for member, run in self.members:
            found.setdefault(member.seed, (member, run))
        return found

    @cached_property
    def statistics(self) -> dict[str, Statistic]:
        """Return every number that the runs of all seeds have, over the seeds."""
        numbers = [_numbers(run) for _, run in self.by_seed.values()]
        return {
            key: statistic([found[key] for found in numbers])
            for key in numbers[0]
            # A mean over some of the seeds only would look like one over all.
            if all(key in found for found in numbers)
        }

    def notes(self) -> list[str]:
        """Return what a reader has to know of the mean: repeated seeds, another source."""
        found = []
        for seed, (first, run) in self.by_seed.items():
            # A seed that two experiments have is one sample, not two: it must not narrow the error.
            others = [(m, r) for m, r in self.members if m.seed == seed and r is not run]
            if others:
                labels = ", ".join(f"{m.label} ({r.name})" for m, r in others)
                same = all(_errors(other) == _errors(run) for _, other in others)
                found.append(
                    f"seed {seed} is also in {labels}"
                    + ("" if same else " with other numbers")
                    + f"; counted once, from {first.label}"
                )
        if len({run.record["source_digest"] for _, run in self.by_seed.values()}) > 1:
            found.append("not all of the same source: see the digests of the single reports")
        return found


def same_runs(members: Sequence[Member]) -> list[SameRun]:
    """Return the runs of all experiments, those of equal configuration together."""
    groups: dict[str, list[tuple[Member, RunResult]]] = {}
    for member in members:
        for run in member.results.runs:
            key = differences.identity(run.config, member.results.experiment)
            groups.setdefault(key, []).append((member, run))
    return [SameRun(tuple(group)) for group in groups.values()]


def statistic(values: Sequence[float]) -> Statistic:
    """Return the mean of `values` and its standard error s/√n, s² the unbiased variance (n − 1)."""
    error = statistics.stdev(values) / sqrt(len(values)) if len(values) > 1 else None
    return Statistic(tuple(values), statistics.fmean(values), error)


def _numbers(run: RunResult) -> dict[str, float]:
    """Return all numbers of a run: its summary, its last step, what it cost."""
    record = run.record
    costs = {key: record[key] for key in ("wall_time_s", "peak_memory_mb")}
    steps = {"num_steps": run.num_steps}
    return {
        key: float(value)
        for key, value in (record["summary"] | steps | costs).items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _errors(run: RunResult) -> dict[str, float]:
    """Return the numbers that do not depend on the machine: errors, not costs."""
    return {key: value for key, value in _numbers(run).items() if "l2" in key or key == "skill"}
