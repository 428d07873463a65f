"""Data sets of several experiments: which of them they share."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.aggregate.across import differences
from pipeline.aggregate.across.experiments import Member
from pipeline.aggregate.describe import dataset_title
from pipeline.store.config import Dataset, Trajectory


@dataclass(frozen=True)
class Definition:
    """A data set by its definition: its names, and the experiments that ask for it, or lack it.

    `shared` says whether all of them use one store.
    """

    names: tuple[str, ...]
    config: Dataset | Trajectory
    experiments: tuple[str, ...]
    lacking: tuple[str, ...]
    shared: bool

    @property
    def title(self) -> str:
        """Return what it holds."""
        return dataset_title(self.config)

    @property
    def state(self) -> str:
        """Return who shares it, and who has no whole one."""
        if len(self.experiments) == 1:
            who = "of one experiment"
        else:
            who = "shared" if self.shared else "equal, in folders of their own"
        return who if not self.lacking else f"{who}; missing in {', '.join(self.lacking)}"


def definitions(members: Sequence[Member]) -> list[Definition]:
    """Return the data sets of all experiments, equal definitions together."""
    groups: dict[str, list[tuple[str, Dataset | Trajectory, Member]]] = {}
    for member in members:
        for name, config in member.results.experiment.datasets.items():
            key = differences.identity(config, member.results.experiment)
            groups.setdefault(key, []).append((name, config, member))
    return [
        Definition(
            tuple(dict.fromkeys(name for name, _, _ in group)),
            group[0][1],
            tuple(member.label for _, _, member in group),
            tuple(member.label for name, _, member in group if _lacks(member, name)),
            # One store: the same folder, links followed, and the same name in it.
            len({(member.data.resolve(), name) for name, _, member in group}) == 1,
        )
        for group in groups.values()
    ]


def _lacks(member: Member, name: str) -> bool:
    return all(result.name != name for result in member.results.datasets)
