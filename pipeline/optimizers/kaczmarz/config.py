"""Configuration of Kaczmarz steps."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pipeline.limits import Magnitude, Relative
from pipeline.optimizers.settings import OptimizerKind


class Kaczmarz(OptimizerKind):
    """Natural-gradient steps in sample space for the polynomial `skip`, then Adam for the network.

    The network is zero until the fraction `network_after` of the steps is done. `damping` is
    relative to the mean of the diagonal of the Gram matrix. Coefficients of degree 2 move
    `quadratic_weight` times as far as those of degree 1; None is the root of their number.
    """

    divides_points: ClassVar[bool] = False
    moves_polynomial: ClassVar[bool] = True

    kind: Literal["kaczmarz"]
    network_after: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    damping: Relative = 1.0e-4
    quadratic_weight: Magnitude | None = None
