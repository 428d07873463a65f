"""What a search leaves, and what the verifier says of it."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from pipeline.certify.format import (
    DIMS,
    MAX_DEGREE,
    MAX_DIGITS,
    MAX_KERNEL_DEGREE,
    MAX_KERNEL_DIGITS,
    MAX_RADIUS_DIGITS,
)
from pipeline.checks.schemas.base import Count, Decimal, JsonObject, SchemaVersion, Sha256
from pipeline.kinds import Name


class Evaluation(JsonObject):
    """What the solver found for given parameters of the formulation."""

    parameters: Annotated[dict[str, int | float], Field(min_length=1)]
    bound: Decimal
    newton_steps: Count
    seconds: float


class FailedEvaluation(JsonObject):
    """Parameters without a result."""

    parameters: Annotated[dict[str, int | float], Field(min_length=1)]
    reason: str


class Trace(JsonObject):
    """`trace.json`: the evaluations of a search, each with a value that is not proved."""

    schema_version: Literal[2]
    name: Name
    dim: Annotated[int, Field(ge=1)]
    label: Literal["empirical"]
    evaluations: Annotated[list[Evaluation], Field(min_length=1)]
    """The candidate is that of the last one."""
    failed: list[FailedEvaluation]


def _integer(digits: int) -> str:
    # The shortest spelling alone, as the verifier demands.
    return f"^(0|-?[1-9][0-9]{{0,{digits - 1}}})$"


def _fraction(digits: int) -> str:
    part = f"[1-9][0-9]{{0,{digits - 1}}}"
    return f"^{part}/{part}$"


Integer = Annotated[str, Field(pattern=_integer(MAX_DIGITS))]
KernelInteger = Annotated[str, Field(pattern=_integer(MAX_KERNEL_DIGITS))]
Fraction = Annotated[str, Field(pattern=_fraction(MAX_DIGITS))]
Radius = Annotated[str, Field(pattern=_fraction(MAX_RADIUS_DIGITS))]


class TwoPointCertificate(JsonObject):
    """A certificate of a two-point bound; see docs/two_point.md."""

    schema_version: SchemaVersion
    kind: Literal["two_point"]
    dim: Annotated[int, Field(ge=DIMS["two_point"][0], le=DIMS["two_point"][-1])]
    degree: Annotated[int, Field(ge=1, le=MAX_DEGREE)]
    radius: Fraction
    """'p/q' in lowest terms: z_r = 2 π r², r the minimal distance of centres."""
    coefficients: Annotated[list[Integer], Field(min_length=2, max_length=MAX_DEGREE + 1)]
    """c_0 ... c_K, K the degree."""


class ThreePointCertificate(JsonObject):
    """A certificate of a three-point bound; see docs/three_point.md."""

    schema_version: SchemaVersion
    kind: Literal["three_point"]
    dim: Annotated[int, Field(ge=DIMS["three_point"][0], le=DIMS["three_point"][-1])]
    degree: Annotated[int, Field(ge=1, le=MAX_DEGREE)]
    inner_radius: Radius
    """'p/q' in lowest terms: ρ_r, where ρ_r² = z_r."""
    outer_radius: Radius
    """ρ_R, between ρ_r and 2 ρ_r."""
    kernel_degree: Annotated[int, Field(ge=1, le=MAX_KERNEL_DEGREE)]
    coefficients: Annotated[list[Integer], Field(min_length=2, max_length=MAX_DEGREE + 1)]
    """c_0 ... c_K, K the degree."""
    kernel: list[list[list[KernelInteger]]]
    """Lower triangles of F_0 ... F_d, d the degree of the kernel."""


AnyCertificate = Annotated[TwoPointCertificate | ThreePointCertificate, Field(discriminator="kind")]


class Candidate(RootModel[AnyCertificate]):
    """`candidate.json`: a certificate, to be proved by `python -m pipeline.certify FILE`.

    Necessary and not sufficient: `pipeline/certify/format.py` also compares the numbers of
    coefficients with the degrees, the radii with each other, and the size of the file with a limit.
    """


class Check(JsonObject):
    """A proof obligation that holds."""

    name: str
    detail: str


class Verdict(JsonObject):
    """`verdict.json`: what the verifier found of a certificate, whatever that holds."""

    schema_version: SchemaVersion
    kind: Literal["pipeline.certify verdict"]
    status: Literal["proved", "rejected"]
    bound: Decimal | None
    """The density is at most this: proved, rounded upward. Null if the certificate is rejected."""
    failed_condition: str | None
    """Name of the obligation or limit that is violated; null if all hold."""
    detail: str | None
    """What was found where one is violated."""
    point: dict[str, float] | None
    """Where an upper bound was not negative, by the names of the variables."""
    checks: list[Check]
    """The obligations that hold, in the order of their proofs."""
    dim: int | None
    """Null if the file is no certificate."""
    formulation: Literal["two_point", "three_point"] | None
    certificate_sha256: Sha256 | None
    """Of the file that was read; null if it cannot be read."""
    parts: Count
    """Into how many parts a long proof was divided."""
    parts_from_state: Count
    """How many of them an earlier, interrupted proof had done."""
    seconds: float
