"""Certificates of upper bounds on the packing density: schema version 1 and its strict parser.

A certificate is a JSON object with exactly the keys of its kind; long integers are decimal strings:

    schema_version  1
    kind            "two_point" or "three_point"
    dim             n: 1..48 for two points, 3..24 for three
    degree          K in 1..403
    coefficients    K + 1 integers, c_0 ... c_K with c_K != 0, of up to 1,200 digits
  two_point:
    radius          "p/q", 0 < z_r < 256, up to 1,200 digits each: z_r = 2 pi r^2, r the minimal
                    distance of centres
  three_point:
    inner_radius    "p/q": rho_r with rho_r^2 = z_r, up to 12 digits each
    outer_radius    "p/q": rho_R, with rho_r < rho_R < 2 rho_r and rho_R < 16
    kernel_degree   d in 1..24
    kernel          d + 1 symmetric matrices F_0 ... F_d with d + 2, d, d - 1, ..., 1 rows: lists
                    of the rows of the lower triangle, row i of i + 1 integers of up to 200 digits

These limits, and 2,000,000 bytes, are checked before anything is computed; a value beyond one is
rejected under the name of its key (`file` for the bytes). They bound the work of every proof, and
leave room for every dimension: the radii of our searches end at z_r = 54 and rho_R = 11.

`two_point` and `three_point` say what they stand for. A positive common factor of all integers
changes no condition and no bound. One value has one spelling: no leading zeros, lowest terms.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from flint import fmpq, fmpz

DIMS = {"two_point": range(1, 49), "three_point": range(3, 25)}
MAX_DEGREE, MAX_KERNEL_DEGREE = 403, 24
# The largest numbers bound the verifier's work: 1,200 digits are 4,000 bits a coefficient.
MAX_DIGITS, MAX_KERNEL_DIGITS, MAX_RADIUS_DIGITS = 1_200, 200, 12
# Radii are scaled: |x|^2 stands for 2 pi |x|^2.
MAX_BYTES, MAX_RADIUS = 2_000_000, 16

_COMMON = {"schema_version", "kind", "dim", "degree", "coefficients"}
_KEYS = {
    "two_point": _COMMON | {"radius"},
    "three_point": _COMMON | {"inner_radius", "outer_radius", "kernel_degree", "kernel"},
}
# The rows of the lower triangle of a symmetric matrix.
Triangle = tuple[tuple[fmpz, ...], ...]


class Rejected(Exception):
    """A certificate that proves nothing: `condition` is what failed, `detail` what was found.

    `point` is where, by the names of the variables, if that is known.
    """

    def __init__(self, condition: str, detail: str, point: dict[str, float] | None = None) -> None:
        super().__init__(f"{condition}: {detail}")
        self.condition, self.detail, self.point = condition, detail, point


@dataclass(frozen=True)
class TwoPoint:
    """A two-point certificate: n, z_r and c_0 ... c_K."""

    dim: int
    radius: fmpq
    coefficients: tuple[fmpz, ...]

    @property
    def degree(self) -> int:
        """Return K."""
        return len(self.coefficients) - 1


@dataclass(frozen=True)
class ThreePoint:
    """A three-point certificate: n, rho_r, rho_R, c_0 ... c_K and the lower triangles of F_l."""

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
    fields: dict[str, Any] = {"schema_version": 1, "kind": kind(certificate)}
    for key in ("dim", "degree", "radius", "inner_radius", "outer_radius", "kernel_degree"):
        value = getattr(certificate, key, None)
        if value is not None:
            fields[key] = f"{value.p}/{value.q}" if isinstance(value, fmpq) else value
    fields["coefficients"] = _texts(certificate.coefficients)
    if isinstance(certificate, ThreePoint):
        fields["kernel"] = _texts(certificate.kernel)
    return fields


def parse(content: bytes) -> TwoPoint | ThreePoint:
    """Return the certificate written in `content`.

    Raises:
        Rejected: condition `file`, `json`, `keys` or the name of the key that is wrong.
    """
    _require(len(content) <= MAX_BYTES, "file", f"expected at most {MAX_BYTES} bytes", "more")
    try:
        fields = json.loads(content.decode("ascii"), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise Rejected("json", f"cannot be parsed: {str(error)[:120]}") from None
    _require(isinstance(fields, dict), "json", "expected an object", fields)
    name = fields.get("kind", "two_point")
    _require(isinstance(name, str) and name in _KEYS, "kind", f"expected one of {[*_KEYS]}", name)
    keys = ", ".join(sorted(fields))
    _require(set(fields) == _KEYS[name], "keys", f"expected {sorted(_KEYS[name])}", keys)
    dim = _small(fields, "dim", DIMS[name])
    degree = _small(fields, "degree", range(1, MAX_DEGREE + 1))
    coefficients = _integers("coefficients", fields["coefficients"], degree + 1, MAX_DIGITS)
    if name == "two_point":
        radius = _fraction(fields, "radius", MAX_DIGITS)
        _require(radius < MAX_RADIUS**2, "radius", f"expected < {MAX_RADIUS**2}", fields["radius"])
        found: TwoPoint | ThreePoint = TwoPoint(dim, radius, coefficients)
    else:
        r, big = (_fraction(fields, f"{x}_radius", MAX_RADIUS_DIGITS) for x in ("inner", "outer"))
        _require(r < big < 2 * r, "outer_radius", f"expected between {r} and {2 * r}", str(big))
        _require(big < MAX_RADIUS, "outer_radius", f"expected < {MAX_RADIUS}", str(big))
        d = _small(fields, "kernel_degree", range(1, MAX_KERNEL_DEGREE + 1))
        blocks, sizes = _list("kernel", fields["kernel"], d + 1), [d + 2, *range(d, 0, -1)]
        found = ThreePoint(dim, r, big, coefficients, tuple(map(_triangle, blocks, sizes)))
    # Two spellings of a certificate would be two files with two digests and one proof.
    for key, value in to_json(found).items():
        same = json.dumps(fields[key]) == json.dumps(value)
        _require(same, key, "expected numbers in their shortest spelling", "another")
    _require(coefficients[-1] != 0, "coefficients", "expected c_K != 0", "0")
    return found


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _require(len({key for key, _ in pairs}) == len(pairs), "json", "expected distinct keys", "two")
    return dict(pairs)


def _small(fields: dict[str, Any], key: str, allowed: range) -> int:
    value = fields[key]
    # JSON's true and false are Python integers.
    good = isinstance(value, int) and not isinstance(value, bool) and value in allowed
    _require(good, key, f"expected {allowed[0]}..{allowed[-1]}", value)
    return int(value)


def _fraction(fields: dict[str, Any], key: str, digits: int) -> fmpq:
    parts = fields[key].split("/") if isinstance(fields[key], str) else []
    p, q = _integers(key, parts, 2, digits)
    _require(p > 0 and q > 0 and p.gcd(q) == 1, key, "expected 'p/q' > 0, reduced", fields[key])
    return fmpq(p, q)


def _triangle(rows: Any, size: int) -> Triangle:
    rows = enumerate(_list("kernel", rows, size), start=1)
    return tuple(_integers("kernel", row, length, MAX_KERNEL_DIGITS) for length, row in rows)


def _integers(key: str, values: Any, length: int, digits: int) -> tuple[fmpz, ...]:
    for value in _list(key, values, length):
        # [0-9], not \d: escapes in JSON can spell the digits of any script.
        good = isinstance(value, str) and re.fullmatch(f"-?[0-9]{{1,{digits}}}", value)
        _require(good, key, f"expected an integer of at most {digits} digits in a string", value)
    return tuple(fmpz(value) for value in values)


def _list(key: str, values: Any, length: int) -> list[Any]:
    got = len(values) if isinstance(values, list) else type(values).__name__
    _require(got == length, key, f"expected a list of {length}", got)
    return list(values)


def _texts(value: Any) -> Any:
    return [_texts(entry) for entry in value] if isinstance(value, tuple) else str(value)


def _require(condition: object, name: str, expected: str, got: Any) -> None:
    if not condition:
        # Containers by their type only: printing one may take as long as parsing it did.
        text = ascii(got) if isinstance(got, (str, int)) else f"a {type(got).__name__}"
        text = text if len(text) <= 60 else f"{text[:60]}... ({len(text)} characters)"
        raise Rejected(name, f"{expected}, got {text}")
