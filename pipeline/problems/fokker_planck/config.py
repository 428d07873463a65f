"""Configuration of the problem `fokker_planck`."""

from typing import Literal

from pydantic import Field

from pipeline.limits import Seed
from pipeline.problems.settings import InTime


class FokkerPlanck(InTime):
    """Log-density of an anisotropic Ornstein–Uhlenbeck process up to t = 1."""

    kind: Literal["fokker_planck"]
    coefficient_seed: Seed = Field(
        default=0,
        description=(
            "Seed of the means, standard normal, and of the variances, uniform on (0.5, 1.5), at"
            " the start."
        ),
    )
