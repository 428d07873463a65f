"""What the configurations of formulations share."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from pipeline.kinds import Kind
from pipeline.wording import Words, always


class FormulationKind(Kind):
    """A formulation of an upper bound on the sphere packing density in `dim` dimensions.

    proof_divides: its proof is made of parts that two processes prove side by side.
    """

    words: ClassVar[Words] = {
        "dim": always(lambda dim: f"n = {dim}"),
        "degree": always(lambda degree: f"degree {degree}"),
    }
    implementation: ClassVar[str] = "search"
    proof_divides: ClassVar[bool] = False


def _quadrature_exists(degree: int) -> int:
    if degree % 4 != 3:
        raise ValueError(
            f"expected 3, 7, 11, ... (4m + 3: m double roots shared by f and its transform),"
            f" got {degree}"
        )
    return degree


Degree = Annotated[int, Field(ge=3, le=403), AfterValidator(_quadrature_exists)]
