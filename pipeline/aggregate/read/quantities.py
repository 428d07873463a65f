"""Numbers with what stands behind them, and as text: exact and never rounded below, or short."""

import math
import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from typing import Literal

# Of bounded length: a damaged file must not keep the arithmetic busy for ever.
_DECIMAL = re.compile(r"[0-9]{1,4000}(\.[0-9]{1,4000})?([eE][+-]?[0-9]{1,4})?")
# Enough digits that differences of two decimals of the accepted size are exact in practice.
_EXACT = Context(prec=12_000)
# No line break within a number.
_TIMES = "\u00a0×\u00a0"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


# proved: an upper bound from a verdict. asymptotic: a confidence limit that holds for many samples.
# empirical: measured or computed without proof. published: quoted from the literature.
Kind = Literal["proved", "asymptotic", "empirical", "published"]


@dataclass(frozen=True)
class Figure:
    """A number: its name, value and unit, its standard error if that is known, and its kind.

    `text` is the exact decimal, where the number has one. The value of a proved bound is never
    below it.
    """

    name: str
    value: float
    unit: str = "1"
    error: float | None = None
    kind: Kind = "empirical"
    text: str | None = None

    def __post_init__(self) -> None:
        if self.kind == "proved":
            assert self.text is not None and Decimal(self.value) >= exact_decimal(self.text)

    @property
    def label(self) -> str:
        """Return the kind as tables name it: a limit that is asymptotic is empirical, no proof."""
        return "empirical" if self.kind == "asymptotic" else self.kind


def exact_decimal(text: str) -> Decimal:
    """Return the positive decimal written in `text`, exactly.

    Raises:
        ValueError: `text` is no plain positive decimal such as "0.2536" or "4.5e-7".
    """
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise ValueError(f"expected a positive decimal such as '0.25', got {str(text)[:40]!r}")
    value = Decimal(text)
    if value <= 0:
        raise ValueError(f"expected a positive decimal, got {text[:40]!r}")
    return value


def float_above(text: str) -> float:
    """Return the least double that is not below the decimal in `text`."""
    # `float` rounds to the nearest double, which may lie below a proved bound.
    nearest = float(text)
    return nearest if Decimal(nearest) >= exact_decimal(text) else math.nextafter(nearest, math.inf)


def shorten_above(text: str, digits: int = 16) -> str:
    """Return the decimal in `text` with at most `digits` significant digits, rounded upward."""
    # Upward, so that a proved bound is still one when it is shortened.
    value = Context(prec=digits, rounding=ROUND_CEILING).create_decimal(exact_decimal(text))
    return f"{value:f}"


def last_place(text: str) -> Decimal:
    """Return one unit in the last written place of `text`; 0 for an integer, which is exact."""
    if text.isdigit():
        return Decimal(0)
    return Decimal(1).scaleb(int(exact_decimal(text).as_tuple().exponent))


def relative_gap(bound: str, reference: str) -> Decimal:
    """Return (bound - reference) / reference, computed in decimal arithmetic."""
    base = exact_decimal(reference)
    # Exactly: nearly all digits of the two cancel.
    difference = _EXACT.subtract(exact_decimal(bound), base)
    return Context(prec=30).divide(difference, base)


def same_digits(bound: str, reference: str) -> bool:
    """Whether `bound` equals `reference` up to one unit in the last place of `reference`."""
    difference = _EXACT.subtract(exact_decimal(bound), exact_decimal(reference))
    return abs(difference) <= last_place(reference)


def num_digits(text: str) -> int:
    """Return the number of significant digits written in `text`."""
    return len(exact_decimal(text).as_tuple().digits)


def gap_text(bound: str, reference: str) -> str:
    """Return the relative gap for a table; a gap below the reference's last digit is no gap."""
    if exact_decimal(bound) == exact_decimal(reference):
        return "0"
    if same_digits(bound, reference):
        return f"none in {num_digits(reference)} digits"
    return scientific(float(relative_gap(bound, reference)), sign=True)


def scientific(value: float, digits: int = 2, *, sign: bool = False) -> str:
    """Return `value` as 1.2 × 10⁻³ (`digits` significant digits)."""
    mantissa, exponent = f"{value:{'+' if sign else ''}.{digits - 1}e}".split("e")
    return f"{mantissa.replace('-', '−')}{_TIMES}{power_of_ten(int(exponent))}"


def power_of_ten(exponent: int) -> str:
    """Return 10⁻³ for -3."""
    return "10" + str(exponent).translate(_SUPERSCRIPT)


def short(value: float | None, digits: int = 3) -> str:
    """Return `value` with `digits` significant digits, without a needless exponent."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or 1e-3 <= abs(value) < 10**digits:
        # The flag # keeps zeros at the end, which are significant digits as well.
        return f"{value:#.{digits}g}".rstrip(".")
    if 10**digits <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return scientific(value, digits)


def percent(value: float | None) -> str:
    """Return a fraction in percent with three significant digits."""
    return "–" if value is None else f"{short(100 * value)}%"


def duration(seconds: float | None) -> str:
    """Return a time span as "4.2 s", "3 min 05 s" or "2 h 10 min"."""
    if seconds is None:
        return "–"
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds >= 1 else f"{short(seconds, 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(num_bytes: float | None) -> str:
    """Return a number of bytes in binary units."""
    if num_bytes is None:
        return "–"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if num_bytes < 1024:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1024
    return f"{num_bytes:.3g} TiB"
