"""Configuration of the problem `black_scholes_barenblatt`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pipeline.problems.settings import InTime


class BlackScholesBarenblatt(InTime):
    """Black–Scholes–Barenblatt equation backward from |x|² at t = 1, of correlated assets."""

    mixed_by: ClassVar[str] = "correlation"

    kind: Literal["black_scholes_barenblatt"]
    correlation: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
