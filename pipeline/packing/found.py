"""What the search of a formulation returns, and its state on the way."""

from dataclasses import dataclass
from typing import Any

State = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """The solver's value at one degree, empirical."""

    degree: int
    bound: str
    newton_steps: int
    seconds: float


@dataclass(frozen=True)
class Failure:
    """A degree without a result, and why."""

    degree: int
    reason: str


@dataclass(frozen=True)
class Found:
    """What a search found, by degree; `certificate`, to be verified, is of the last of `ladder`.

    It is None if every degree failed.
    """

    ladder: tuple[Step, ...]
    failed: tuple[Failure, ...]
    certificate: dict[str, Any] | None
