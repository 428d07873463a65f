"""The PINN problems that an experiment may name: a line a kind."""

from typing import Annotated

from pydantic import Field

from pipeline.problems.black_scholes_barenblatt.config import BlackScholesBarenblatt
from pipeline.problems.fokker_planck.config import FokkerPlanck
from pipeline.problems.hjb.config import HJB
from pipeline.problems.parabolic.config import Parabolic
from pipeline.problems.schroedinger.config import Schroedinger
from pipeline.problems.three_body.config import ThreeBody
from pipeline.problems.two_body.config import TwoBody

AnyProblem = Annotated[
    TwoBody
    | ThreeBody
    | Parabolic
    | HJB
    | BlackScholesBarenblatt
    | FokkerPlanck
    | Schroedinger,
    Field(discriminator="kind"),
]  # fmt: skip
