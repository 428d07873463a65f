"""What the search of a formulation returns, and its state on the way.

A search evaluates formulations: it solves one for given parameters (a degree, a radius, the weights
of a kernel) and gets a value. Which parameters there are is the formulation's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Of trace.json; version 1 had degrees in the place of evaluations.
TRACE_VERSION = 2

State = dict[str, Any]
Parameters = Mapping[str, int | float]


@dataclass(frozen=True)
class Evaluation:
    """The solver's value for `parameters`, empirical; `bound` is a decimal."""

    parameters: Parameters
    bound: str
    newton_steps: int
    seconds: float


@dataclass(frozen=True)
class Failure:
    """Parameters without a result, and why."""

    parameters: Parameters
    reason: str


@dataclass(frozen=True)
class Found:
    """What a search found; `certificate`, to be verified, is of the last of `evaluations`.

    It is None if every evaluation failed.
    """

    evaluations: tuple[Evaluation, ...]
    failed: tuple[Failure, ...]
    certificate: dict[str, Any] | None
