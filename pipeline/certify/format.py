"""Certificates of two-point (Cohn-Elkies) bounds: schema version 1 and its strict parser.

A certificate is a JSON object with exactly these keys:

    schema_version  1
    kind            "two_point"
    dim             n, an integer in 1..48
    degree          K, an integer in 1..403
    radius          "p/q" in lowest terms, q >= 1, p >= 1: the number z_r = 2 pi r^2
    coefficients    K + 1 integers as decimal strings, c_0 ... c_K with c_K != 0

It stands for the function f on R^n and its Fourier transform (a = n/2 - 1, L_k^a Laguerre)

    f(x)    = sum_k (-1)^k c_k L_k^a(2 pi |x|^2) exp(-pi |x|^2)
    f^(xi)  = sum_k        c_k L_k^a(2 pi |xi|^2) exp(-pi |xi|^2)

A positive common factor of the c_k changes no condition and no bound, so integers are enough.
One value has one spelling: no leading zeros, no "-0", no fraction that can be reduced.
"""

import json
import re
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any, NoReturn

from flint import fmpq, fmpz

SCHEMA_VERSION = 1
KIND = "two_point"
MAX_DIM = 48
MAX_DEGREE = 403
# The largest integers bound the verifier's work: 1,200 digits are 4,000 bits a coefficient.
MAX_DIGITS = 1_200
MAX_BYTES = 2_000_000

_KEYS = ("schema_version", "kind", "dim", "degree", "radius", "coefficients")
_INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
_FRACTION = re.compile(r"([1-9][0-9]*)/([1-9][0-9]*)", re.ASCII)


class Rejected(Exception):
    """A certificate that proves nothing: `condition` is what failed, `detail` what was found."""

    def __init__(self, condition: str, detail: str) -> None:
        super().__init__(f"{condition}: {detail}")
        self.condition = condition
        self.detail = detail


@dataclass(frozen=True)
class TwoPoint:
    """The content of a certificate; `coefficients` are c_0 ... c_K, `radius` is 2 pi r^2."""

    dim: int
    radius: fmpq
    coefficients: tuple[fmpz, ...]

    @property
    def degree(self) -> int:
        """Return K."""
        return len(self.coefficients) - 1


def to_json(certificate: TwoPoint) -> dict[str, Any]:
    """Return the JSON object of `certificate`; `parse` of its text gives the certificate back."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "dim": certificate.dim,
        "degree": certificate.degree,
        "radius": f"{certificate.radius.p}/{certificate.radius.q}",
        "coefficients": [str(c) for c in certificate.coefficients],
    }


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


def parse(content: bytes) -> TwoPoint:
    """Return the certificate written in `content`.

    Raises:
        Rejected: condition `file`, `json`, `keys` or the name of the key that is wrong.
    """
    if len(content) > MAX_BYTES:
        raise Rejected("file", f"expected at most {MAX_BYTES} bytes, got {len(content)} or more")
    fields = _decode(content)
    _require(
        set(fields) == set(_KEYS), "keys", f"expected {sorted(_KEYS)}", ", ".join(sorted(fields))
    )
    version, kind = fields["schema_version"], fields["kind"]
    _require(
        _is_int(version) and version == SCHEMA_VERSION, "schema_version", "expected 1", version
    )
    _require(kind == KIND, "kind", f"expected {KIND!r}", kind)
    dim, degree = fields["dim"], fields["degree"]
    _require(_is_int(dim) and 1 <= dim <= MAX_DIM, "dim", f"expected 1..{MAX_DIM}", dim)
    _require(
        _is_int(degree) and 1 <= degree <= MAX_DEGREE, "degree", f"expected 1..{MAX_DEGREE}", degree
    )
    return TwoPoint(dim, _radius(fields["radius"]), _coefficients(fields["coefficients"], degree))


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


def _radius(text: Any) -> fmpq:
    found = _FRACTION.fullmatch(text) if isinstance(text, str) else None
    if found is None or max(map(len, found.groups())) > MAX_DIGITS:
        raise Rejected(
            "radius", f"expected 'p/q' of at most {MAX_DIGITS} digits each, got {_shown(text)}"
        )
    numerator, denominator = int(found[1]), int(found[2])
    _require(gcd(numerator, denominator) == 1, "radius", "expected lowest terms", text)
    return fmpq(numerator, denominator)


def _coefficients(values: Any, degree: int) -> tuple[fmpz, ...]:
    if not isinstance(values, list) or len(values) != degree + 1:
        got = len(values) if isinstance(values, list) else type(values).__name__
        raise Rejected("coefficients", f"expected a list of degree + 1 = {degree + 1}, got {got}")
    for index, value in enumerate(values):
        good = isinstance(value, str) and len(value.removeprefix("-")) <= MAX_DIGITS
        if not (good and _INTEGER.fullmatch(value)):
            raise Rejected(
                "coefficients",
                f"[{index}]: expected an integer of at most {MAX_DIGITS} digits in a string,"
                f" got {_shown(value)}",
            )
    _require(values[-1] != "0", "coefficients", "expected c_K != 0", values[-1])
    return tuple(fmpz(int(value)) for value in values)


def _is_int(value: Any) -> bool:
    # JSON's true and false are Python integers.
    return isinstance(value, int) and not isinstance(value, bool)


def _require(condition: bool, name: str, expected: str, got: Any) -> None:
    if not condition:
        raise Rejected(name, f"{expected}, got {_shown(got)}")


def _shown(value: Any, limit: int = 60) -> str:
    # Containers by their type only: printing one may take as long as parsing it did.
    text = repr(value) if isinstance(value, (str, int)) else f"a {type(value).__name__}"
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
