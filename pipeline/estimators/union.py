"""The estimators that an experiment may name: a line a kind."""

from typing import Annotated

from pydantic import Field

from pipeline.estimators.auto.config import Auto
from pipeline.estimators.double_backward.config import DoubleBackward
from pipeline.estimators.exact_gram.config import ExactGram
from pipeline.estimators.full.config import Full
from pipeline.estimators.hutchinson.config import Hutchinson
from pipeline.estimators.jet.config import Jet
from pipeline.estimators.sdgd.config import SDGD
from pipeline.estimators.taylor.config import Taylor

AnyEstimator = Annotated[
    SDGD
    | Full
    | DoubleBackward
    | Jet
    | Taylor
    | Hutchinson
    | ExactGram
    | Auto,
    Field(discriminator="kind"),
]  # fmt: skip
