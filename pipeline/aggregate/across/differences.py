"""Settings of a part as key and value, and exactly those in which parts of one name differ."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from pipeline.aggregate.across.experiments import Member
from pipeline.config import Experiment
from pipeline.kinds import shaping
from pipeline.runtime.failure import one_line
from pipeline.training.operator.config import OperatorRun

_ABSENT = object()
_MOST_CHARACTERS = 60


@dataclass(frozen=True)
class Difference:
    """A key in which parts of one name differ: `values` of each variant, `experiments` with it.

    `shapes` says whether numbers depend on it.
    """

    part: str
    name: str
    key: str
    values: tuple[str, ...]
    experiments: tuple[tuple[str, ...], ...]
    shapes: bool

    @property
    def text(self) -> str:
        """Return `key: value | value`, in the order of the variants."""
        return f"{self.key}: {' | '.join(self.values)}"

    @property
    def whose(self) -> str:
        """Return the experiments of each variant, in the same order."""
        return " | ".join(", ".join(labels) for labels in self.experiments)


def identity(part: BaseModel, experiment: Experiment) -> str:
    """Return what is equal for two parts exactly if the same seed gives them the same numbers.

    The data set of an operator run counts by its definition, not by its name.
    """
    return json.dumps(_expanded(shaping(part), part, experiment, shaping), sort_keys=True)


def settings(part: BaseModel, experiment: Experiment) -> dict[str, Any]:
    """Return all settings of a part by dotted key, those of its data set below `dataset`."""
    dumped = part.model_dump(mode="json")
    whole = _expanded(dumped, part, experiment, lambda other: other.model_dump(mode="json"))
    return dict(_flat(whole))


def differences(members: Sequence[Member]) -> list[Difference]:
    """Return the keys in which runs, bounds and data sets of one name differ."""
    found: list[Difference] = []
    for section, part in (("datasets", "dataset"), ("runs", "run"), ("bounds", "bound")):
        named: dict[str, list[tuple[str, dict[str, Any], set[str]]]] = {}
        for member in members:
            experiment = member.results.experiment
            for name, config in getattr(experiment, section).items():
                shapes = json.loads(identity(config, experiment))
                told = (member.label, settings(config, experiment), set(dict(_flat(shapes))))
                named.setdefault(name, []).append(told)
        for name, entries in named.items():
            found += _of_name(part, name, entries)
    return found


def _of_name(
    part: str, name: str, entries: Sequence[tuple[str, dict[str, Any], set[str]]]
) -> Iterator[Difference]:
    variants: list[tuple[dict[str, Any], list[str]]] = []
    for label, values, _ in entries:
        same = next((labels for known, labels in variants if known == values), None)
        if same is None:
            variants.append((values, [label]))
        else:
            same.append(label)
    shaping_keys = set[str]().union(*(keys for _, _, keys in entries))
    labels = tuple(tuple(labels) for _, labels in variants)
    # Keys in the order of the configurations, each once.
    for key in dict.fromkeys(key for values, _ in variants for key in values):
        found = [values.get(key, _ABSENT) for values, _ in variants]
        if any(value != found[0] for value in found[1:]):
            texts = tuple(map(value_text, found))
            yield Difference(part, name, key, texts, labels, key in shaping_keys)


def value_text(value: Any) -> str:
    """Return a setting as it would be written, "–" if there is none."""
    if value is _ABSENT:
        return "–"
    if isinstance(value, float):
        short = f"{value:g}"
        # As short as it reads back to the same number: two settings never look alike.
        return short if float(short) == value else repr(value)
    text = one_line(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"


def _expanded(dumped: dict[str, Any], part: BaseModel, experiment: Experiment, dump: Any) -> Any:
    if isinstance(part, OperatorRun):
        return dumped | {"dataset": dump(experiment.datasets[part.dataset])}
    return dumped


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, child in value.items():
        if isinstance(child, Mapping) and child:
            yield from _flat(child, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", child
