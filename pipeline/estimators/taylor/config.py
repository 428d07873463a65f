"""Configuration of the estimator `taylor`."""

from typing import ClassVar, Literal

from pipeline.estimators.settings import EstimatorKind
from pipeline.limits import Size


class Taylor(EstimatorKind):
    """STDE's sparse directions: basis vectors drawn without replacement, as SDGD draws them."""

    divides_axes: ClassVar[bool] = True
    axes_key: ClassVar[str] = "num_directions"

    kind: Literal["taylor"]
    num_directions: Size = 16
