"""The experiments of a comparison, each under a label that tells it from the others."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.aggregate.read import asked, folders
from pipeline.aggregate.read.collect import collect
from pipeline.aggregate.read.results import Results
from pipeline.errors import ResultError


@dataclass(frozen=True)
class Member:
    """An experiment, complete or not, under its label: its name, or its path if that is not one."""

    label: str
    folder: Path
    data: Path
    results: Results

    @property
    def seed(self) -> int:
        """Return the seed of its runs and bounds."""
        return self.results.experiment.seed


def members(names: Sequence[str], data: Path | None = None) -> list[Member]:
    """Return the experiments called `names` with what they have, in that order.

    Raises:
        ResultError: one of them is not there, cannot be read, or is named twice.
    """
    found = [folders.find(name) for name in names]
    for folder, count in Counter(folder.resolve() for folder in found).items():
        if count > 1:
            raise ResultError(f"{folder}: expected each experiment once, got it {count} times")
    experiments = [asked.experiment(folder) for folder in found]
    stores = [data or folders.data_of(folder) for folder in found]
    collected = [
        collect(experiment, data=store, results=folder)
        for experiment, store, folder in zip(experiments, stores, found, strict=True)
    ]
    # Two folders may hold experiments of one name, as copies from other machines do.
    times = Counter(results.asked.name for results in collected)
    labels = [
        results.asked.name if times[results.asked.name] == 1 else str(folder)
        for results, folder in zip(collected, found, strict=True)
    ]
    return [Member(*each) for each in zip(labels, found, stores, collected, strict=True)]
