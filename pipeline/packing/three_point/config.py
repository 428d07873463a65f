"""Configuration of three-point bounds."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.packing.settings import Degree, FormulationKind


class ThreePoint(FormulationKind):
    """Cohn–de Laat–Salmon bound from f_2 as in `TwoPoint` and a kernel f_3 on a shell."""

    lifecycle = "stable"
    # Its search runs the verifier as a command.
    runs_modules: ClassVar[tuple[str, ...]] = ("pipeline.certify.__main__",)
    proof_divides: ClassVar[bool] = True

    kind: Literal["three_point"]
    dim: int = Field(ge=3, le=24, description="Dimension n of space.")
    degree: Degree = Field(
        default=43,
        description="Degree of f_2, 4m + 3: 43 serves n up to 13, 55 up to 16.",
    )
    kernel_degree: int = Field(
        default=12,
        ge=2,
        le=24,
        description=(
            "Degree d of f_3 in |x|² and in ⟨x, y⟩; the first thing to raise for a better bound. On"
            " a core 8 takes 15 seconds, 14 some minutes, 20 some forty; at low degrees the kernel"
            " may stay zero, which ends the search."
        ),
    )
    outer_ratio: float = Field(
        default=1.3,
        gt=1,
        lt=2,
        description=(
            "Quotient R/r of the shell's radii: 1.6 is good for n = 4, 1.4 for 7, 1.3 for 10, 1.2"
            " for 14. Other values give a worse bound; larger ones want a higher kernel_degree."
        ),
    )
    margin: float = Field(
        default=1e-7,
        ge=1e-12,
        le=1e-2,
        description=(
            "What f_3 gives away in its conditions, relative to its size, so that a proof is short."
            " 2e-7 costs 2e-6 to 1e-5 of the bound; less makes the proof longer, by the logarithm."
        ),
    )
    conic_bits: int = Field(
        default=53,
        ge=53,
        le=4096,
        description=(
            "Precision of the conic problems: 53 are doubles. 64 and more take 5 to 20 times as"
            " long, and are needed for a `gap` below 1e-9 only."
        ),
    )
    gap: float = Field(
        default=3e-5,
        ge=1e-300,
        le=1e-2,
        description=(
            "Relative duality gap that conic problems are solved to. The default leaves a few 1e-6"
            " of the bound; bits that do not reach the gap end the search."
        ),
    )

    @model_validator(mode="after")
    def _precise_enough(self) -> "ThreePoint":
        # In balls the Newton equations square the condition number, in doubles they do not.
        if 53 < self.conic_bits < 64:
            raise ValueError(
                f"conic_bits: expected 53 (doubles) or at least 64, got {self.conic_bits}"
            )
        if self.conic_bits == 53 and self.gap < 1e-9:
            raise ValueError(
                f"gap: expected at least 1e-9 in doubles, got {self.gap:g}; raise conic_bits"
            )
        return self

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "three-point"
