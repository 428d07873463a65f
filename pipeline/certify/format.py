"""Certificates of upper bounds on the packing density: schema version 1 and its strict parser.

A certificate is a JSON object with exactly the keys of its kind:

    schema_version  1
    kind            "two_point" or "three_point"
    dim             n, an integer: 1..48 for two points, 3..24 for three
    degree          K, an integer in 1..403
    coefficients    K + 1 integers as decimal strings, c_0 ... c_K with c_K != 0
  two_point:
    radius          "p/q" in lowest terms, positive: z_r = 2 pi r^2
  three_point:
    inner_radius    "p/q": rho_r with rho_r^2 = 2 pi r^2, r the minimal distance of centres
    outer_radius    "p/q": rho_R, rho_r < rho_R < 2 rho_r
    kernel_degree   d, an integer in 1..24
    kernel          d + 1 lower triangles: the matrices F_0 ... F_d of d + 2, d, d - 1, ..., 1 rows;
                    row i is a list of i + 1 integers as decimal strings

What they stand for is written in `two_point` and `three_point`. A positive common factor of all
integers changes no condition and no bound, so integers are enough. One value has one spelling: no
leading zeros, no "-0", no fraction that can be reduced.
"""

import json
import re
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any, NoReturn

from flint import fmpq, fmpz

SCHEMA_VERSION = 1
MAX_DEGREE = 403
MAX_KERNEL_DEGREE = 24
DIMS = {"two_point": (1, 48), "three_point": (3, 24)}
# The largest numbers bound the verifier's work: 1,200 digits are 4,000 bits a coefficient.
MAX_DIGITS = 1_200
MAX_KERNEL_DIGITS = 300
MAX_RADIUS_DIGITS = 40
MAX_BYTES = 2_000_000

_COMMON_KEYS = {"schema_version", "kind", "dim", "degree", "coefficients"}
_KEYS = {
    "two_point": _COMMON_KEYS | {"radius"},
    "three_point": _COMMON_KEYS | {"inner_radius", "outer_radius", "kernel_degree", "kernel"},
}
_INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
_FRACTION = re.compile(r"([1-9][0-9]*)/([1-9][0-9]*)", re.ASCII)


class Rejected(Exception):
    """A certificate that proves nothing: `condition` is what failed, `detail` what was found."""

    def __init__(self, condition: str, detail: str) -> None:
        super().__init__(f"{condition}: {detail}")
        self.condition = condition
        self.detail = detail


@dataclass(frozen=True)
class Check:
    """A proof obligation that holds, and what was found."""

    name: str
    detail: str


@dataclass(frozen=True)
class TwoPoint:
    """A two-point certificate; `coefficients` are c_0 ... c_K, `radius` is 2 pi r^2."""

    dim: int
    radius: fmpq
    coefficients: tuple[fmpz, ...]

    @property
    def degree(self) -> int:
        """Return K."""
        return len(self.coefficients) - 1


# The rows of the lower triangle of a symmetric matrix.
Triangle = tuple[tuple[fmpz, ...], ...]


@dataclass(frozen=True)
class ThreePoint:
    """A three-point certificate; `kernel` holds the lower triangles of F_0 ... F_d."""

    dim: int
    inner_radius: fmpq
    outer_radius: fmpq
    coefficients: tuple[fmpz, ...]
    kernel: tuple[Triangle, ...]

    @property
    def degree(self) -> int:
        """Return K."""
        return len(self.coefficients) - 1

    @property
    def kernel_degree(self) -> int:
        """Return d."""
        return len(self.kernel) - 1


def kind(certificate: TwoPoint | ThreePoint) -> str:
    """Return the kind of a certificate."""
    return "two_point" if isinstance(certificate, TwoPoint) else "three_point"


def to_json(certificate: TwoPoint | ThreePoint) -> dict[str, Any]:
    """Return the JSON object of `certificate`; `parse` of its text gives the certificate back."""
    common = {
        "schema_version": SCHEMA_VERSION,
        "kind": kind(certificate),
        "dim": certificate.dim,
        "degree": certificate.degree,
    }
    coefficients = {"coefficients": [str(c) for c in certificate.coefficients]}
    if isinstance(certificate, TwoPoint):
        return common | {"radius": _written(certificate.radius)} | coefficients
    shell = {
        "inner_radius": _written(certificate.inner_radius),
        "outer_radius": _written(certificate.outer_radius),
        "kernel_degree": certificate.kernel_degree,
    }
    kernel = [[[str(x) for x in row] for row in block] for block in certificate.kernel]
    return common | shell | coefficients | {"kernel": kernel}


def read(path: Path) -> bytes:
    """Return the content of a certificate file of at most `MAX_BYTES`.

    Raises:
        Rejected: condition `file`: it cannot be read or is too large.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise Rejected("file", f"{path}: {error.strerror}") from None
    return content


def parse(content: bytes) -> TwoPoint | ThreePoint:
    """Return the certificate written in `content`.

    Raises:
        Rejected: condition `file`, `json`, `keys` or the name of the key that is wrong.
    """
    if len(content) > MAX_BYTES:
        raise Rejected("file", f"expected at most {MAX_BYTES} bytes, got {len(content)} or more")
    fields = _decode(content)
    name = fields.get("kind", "two_point")
    _require(
        isinstance(name, str) and name in _KEYS, "kind", f"expected {' or '.join(_KEYS)}", name
    )
    keys = ", ".join(sorted(fields))
    _require(set(fields) == _KEYS[name], "keys", f"expected {sorted(_KEYS[name])}", keys)
    _integer(fields, "schema_version", SCHEMA_VERSION, SCHEMA_VERSION)
    dim = _integer(fields, "dim", *DIMS[name])
    degree = _integer(fields, "degree", 1, MAX_DEGREE)
    coefficients = _integers("coefficients", fields["coefficients"], degree + 1, MAX_DIGITS)
    _require(coefficients[-1] != 0, "coefficients", "expected c_K != 0", "0")
    if name == "two_point":
        return TwoPoint(dim, _fraction(fields, "radius", MAX_DIGITS), coefficients)
    r, big = (_fraction(fields, f"{x}_radius", MAX_RADIUS_DIGITS) for x in ("inner", "outer"))
    _require(r < big < 2 * r, "outer_radius", "expected rho_r < rho_R < 2 rho_r", f"{big} and {r}")
    kernel_degree = _integer(fields, "kernel_degree", 1, MAX_KERNEL_DEGREE)
    return ThreePoint(dim, r, big, coefficients, _kernel(fields["kernel"], kernel_degree))


def _decode(content: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        _require(len(set(keys)) == len(keys), "json", "expected distinct keys", ", ".join(keys))
        return dict(pairs)

    def refuse(text: str) -> NoReturn:
        raise Rejected("json", f"expected integers and strings only, got {_shown(text)}")

    def small(text: str) -> int:
        _require(len(text) <= 4, "json", "expected integers of at most 4 digits", text)
        return int(text)

    try:
        fields = json.loads(
            content.decode("ascii"),
            object_pairs_hook=unique,
            parse_float=refuse,
            parse_constant=refuse,
            parse_int=small,
        )
    except (ValueError, RecursionError) as error:
        raise Rejected("json", f"cannot be parsed: {_shown(str(error), 120)}") from None
    _require(isinstance(fields, dict), "json", "expected an object", type(fields).__name__)
    return dict(fields)


def _integer(fields: dict[str, Any], key: str, least: int, most: int) -> int:
    value = fields[key]
    # JSON's true and false are Python integers.
    good = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    _require(good, key, f"expected {least}..{most}", value)
    return int(value)


def _fraction(fields: dict[str, Any], key: str, digits: int) -> fmpq:
    text = fields[key]
    found = _FRACTION.fullmatch(text) if isinstance(text, str) else None
    if found is None or max(map(len, found.groups())) > digits:
        raise Rejected(key, f"expected 'p/q' of at most {digits} digits each, got {_shown(text)}")
    numerator, denominator = int(found[1]), int(found[2])
    _require(gcd(numerator, denominator) == 1, key, "expected lowest terms", text)
    return fmpq(numerator, denominator)


def _kernel(blocks: Any, degree: int) -> tuple[Triangle, ...]:
    found = []
    for index, block in enumerate(_list("kernel", blocks, degree + 1)):
        size = degree + 2 if index == 0 else degree - index + 1
        where = f"kernel[{index}]"
        rows = enumerate(_list(where, block, size))
        found.append(
            tuple(_integers(f"{where}[{i}]", r, i + 1, MAX_KERNEL_DIGITS) for i, r in rows)
        )
    return tuple(found)


def _list(where: str, values: Any, length: int) -> list[Any]:
    if isinstance(values, list) and len(values) == length:
        return values
    got = len(values) if isinstance(values, list) else type(values).__name__
    raise Rejected(where.partition("[")[0], f"{where}: expected a list of {length}, got {got}")


def _integers(where: str, values: Any, length: int, digits: int) -> tuple[fmpz, ...]:
    for index, value in enumerate(_list(where, values, length)):
        good = isinstance(value, str) and len(value.removeprefix("-")) <= digits
        if not (good and _INTEGER.fullmatch(value)):
            expected = f"an integer of at most {digits} digits in a string"
            detail = f"{where}[{index}]: expected {expected}, got {_shown(value)}"
            raise Rejected(where.partition("[")[0], detail)
    return tuple(fmpz(int(value)) for value in values)


def _written(value: fmpq) -> str:
    return f"{value.p}/{value.q}"


def _require(condition: bool, name: str, expected: str, got: Any) -> None:
    if not condition:
        raise Rejected(name, f"{expected}, got {_shown(got)}")


def _shown(value: Any, limit: int = 60) -> str:
    # Containers by their type only: printing one may take as long as parsing it did.
    text = repr(value) if isinstance(value, (str, int)) else f"a {type(value).__name__}"
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
