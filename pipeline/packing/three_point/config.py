"""Configuration of three-point bounds."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.packing.settings import Degree, FormulationKind


class ThreePoint(FormulationKind):
    """Cohn–de Laat–Salmon bound from f_2 as in `TwoPoint` and a kernel f_3 on a shell.

    `kernel_degree` d is the degree of f_3 in |x|² and in ⟨x, y⟩, `outer_ratio` the quotient R/r of
    the shell's radii, `margin` what f_3 gives away (relative to its size) so that a proof is short.
    Conic problems are solved to the relative duality gap `gap` with `conic_bits` of precision: 53
    are doubles; more take 5 to 20 times as long, and are needed for gaps below 1e-9 only.
    """

    # Its search runs the verifier as a command.
    runs_modules: ClassVar[tuple[str, ...]] = ("pipeline.certify.__main__",)
    proof_divides: ClassVar[bool] = True

    kind: Literal["three_point"]
    dim: Annotated[int, Field(ge=3, le=24)]
    degree: Degree = 43
    kernel_degree: Annotated[int, Field(ge=2, le=24)] = 12
    outer_ratio: Annotated[float, Field(gt=1, lt=2)] = 1.3
    margin: Annotated[float, Field(ge=1e-12, le=1e-2)] = 1e-7
    conic_bits: Annotated[int, Field(ge=53, le=4096)] = 53
    gap: Annotated[float, Field(ge=1e-300, le=1e-2)] = 3e-5

    @model_validator(mode="after")
    def _precise_enough(self) -> "ThreePoint":
        if 53 < self.conic_bits < 64:
            raise ValueError(
                f"conic_bits: expected 53 (doubles) or at least 64, got {self.conic_bits}"
            )
        if self.conic_bits == 53 and self.gap < 1e-9:
            raise ValueError(
                f"gap: expected at least 1e-9 in doubles, got {self.gap:g}; raise conic_bits"
            )
        return self
