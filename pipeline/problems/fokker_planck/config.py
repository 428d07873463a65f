"""Configuration of the problem `fokker_planck`."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.limits import Seed
from pipeline.problems.settings import DRAW, InTime
from pipeline.wording import Words


class FokkerPlanck(InTime):
    """Log-density of an anisotropic Ornstein–Uhlenbeck process up to t = 1."""

    lifecycle = "experimental"
    words: ClassVar[Words] = {
        **InTime.words,
        "coefficient_seed": DRAW,
    }

    kind: Literal["fokker_planck"]
    coefficient_seed: Seed = Field(
        default=0,
        description=(
            "Seed of the means, standard normal, and of the variances, uniform on (0.5, 1.5), at"
            " the start."
        ),
    )

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "Fokker–Planck (log-density)"

    def baseline(self) -> str:
        """Return the formula of the trivial predictor; C is the best constant."""
        return "log p₀(x) + C t"
