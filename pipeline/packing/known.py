"""Published bounds on the density of sphere packings in dimensions 1 to 48.

Everything here is quoted, nothing is computed by this project: a published upper bound is a
yardstick for ours and never enters a proof. Values are decimal strings, so that no digit is lost.

Sources:
    COHN_TABLE: H. Cohn, table of sphere packing density bounds, MIT DSpace, hdl 1721.1/153311.
    COHN_LP: H. Cohn, "A conceptual breakthrough in sphere packing", arXiv:1611.01685, Table 2.
    SPLAG: J. H. Conway, N. J. A. Sloane, "Sphere Packings, Lattices and Groups", 3rd ed.,
        Tables 1.2 and 1.3 and the preface.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import exp, lgamma, log, pi
from typing import Literal

Kind = Literal["exact", "two-point", "three-point", "packing"]

COHN_TABLE = "Cohn, hdl:1721.1/153311"
COHN_LP = "Cohn, arXiv:1611.01685, Table 2"
SPLAG = "Conway & Sloane, Sphere Packings, Lattices and Groups, 3rd ed."


@dataclass(frozen=True)
class Known:
    """A published density: `value` as a decimal, what kind of statement it is, and who says so."""

    value: str
    kind: Kind
    source: str
    name: str = ""
    closed_form: str = ""

    @property
    def as_float(self) -> float:
        """Return `value` in double precision."""
        return float(self.value)


def upper_bound(dim: int) -> Known:
    """Return the best published upper bound on the density in dimension `dim`.

    Exact values are rounded to 16 places, bounds as the source prints them (a unit in the last
    place may be missing or too much).

    Raises:
        KeyError: `dim` is not in 1..48.
    """
    value = _BEST[_index(dim)]
    if dim in _EXACT:
        closed_form, source = _EXACT[dim]
        return Known(value, "exact", source, closed_form=closed_form)
    if dim in range(4, 17):
        return Known(value, "three-point", f"Cohn, de Laat, Salmon, arXiv:2206.15373; {COHN_TABLE}")
    return Known(value, "two-point", COHN_TABLE)


def two_point_bound(dim: int) -> Known:
    """Return the published two-point (Cohn-Elkies) bound, the yardstick of our formulation.

    For dim <= 16 and dim = 24 rounded upward to nine or ten digits, else as in `upper_bound`.

    Raises:
        KeyError: `dim` is not in 1..48.
    """
    best = upper_bound(dim)
    if best.kind == "two-point":
        return best
    return Known(_LINEAR_PROGRAM[dim], "two-point", COHN_LP)


def of_formulation(kind: str, dim: int) -> Known:
    """Return the published bound of the formulation `kind`, the yardstick of what it gives.

    Raises:
        KeyError: `dim` is not in 1..48.
    """
    return two_point_bound(dim) if kind == "two_point" else upper_bound(dim)


def packing(dim: int) -> Known | None:
    """Return the density of a good known packing, or None where the table has none.

    For dim <= 24 it is the densest known one. Density = centre density * vol(B_dim); the value
    is rounded to 12 significant digits.

    Raises:
        KeyError: `dim` is not in 1..48.
    """
    _index(dim)
    if dim not in _CENTRE_DENSITY_SQUARED:
        return None
    name, squared = _CENTRE_DENSITY_SQUARED[dim]
    ratio = Fraction(squared)
    log_centre = (log(ratio.numerator) - log(ratio.denominator)) / 2
    density = exp(log_centre + dim / 2 * log(pi) - lgamma(dim / 2 + 1))
    closed_form = _EXACT[dim][0] if dim in _EXACT else ""
    # Logarithms lose a few of a double's 16 digits: 12 are safe.
    return Known(f"{density:.12g}", "packing", SPLAG, name=name, closed_form=closed_form)


def _index(dim: int) -> int:
    if not 1 <= dim <= len(_BEST):
        raise KeyError(f"dim: expected 1..{len(_BEST)}, got {dim}")
    return dim - 1


_EXACT = {
    1: ("1", "trivial"),
    2: ("pi/sqrt(12)", "Thue 1892; Fejes Toth 1943"),
    3: ("pi/sqrt(18)", "Hales, Ann. of Math. 162 (2005)"),
    8: ("pi^4/384", "Viazovska, Ann. of Math. 185 (2017)"),
    24: ("pi^12/12!", "Cohn, Kumar, Miller, Radchenko, Viazovska, Ann. of Math. 185 (2017)"),
}

_BEST_TEXT = (
    "1 0.9068996821171089 0.7404804896930610 0.6361073321551329 0.5126451306253027"
    " 0.4103032818801865 0.3211471056675559 0.2536695079010480 0.1911204152968963"
    " 0.1434100871082547 0.1067252934567631 0.0797117710668987 0.0601644380983860"
    " 0.0450612211935181 0.0337564432797899 0.0249944093845237 0.0184640903350649"
    " 0.0134853404450862 0.0098179551395438 0.0071270536033763 0.0051596603948176"
    " 0.0037259419689206 0.0026842798864291 0.0019295743094039 0.0013841907222857"
    " 0.0009910238892216 0.0007082297958617 0.0005052542161057 0.0003598581852089"
    " 0.0002559028743732 0.0001817083813917 0.0001288432887595 0.0000912356039023"
    " 0.0000645221967438 0.0000455743843107 0.0000321530553313 0.0000226586900106"
    " 0.0000159506499105 0.0000112168687009 0.0000078801051697 0.0000055306464395"
    " 0.0000038780970907 0.0000027169074727 0.0000019017703144 0.0000013300905665"
    " 0.0000009295151556 0.0000006490757338 0.0000004529067791"
)
_BEST = tuple(_BEST_TEXT.split())

# Two-point values where the best bound is exact or a three-point one; rounded upward.
_LINEAR_PROGRAM = {
    1: "1.000000000",
    2: "0.906899683",
    3: "0.779746762",
    4: "0.647704966",
    5: "0.524980022",
    6: "0.417673416",
    7: "0.327455611",
    8: "0.253669508",
    9: "0.194555339",
    10: "0.147953479",
    11: "0.111690766",
    12: "0.083775831",
    13: "0.0624817002",
    14: "0.0463644893",
    15: "0.0342482621",
    16: "0.0251941308",
    24: "0.0019295744",
}

# Squares of centre densities (balls of radius 1): rational for every packing listed.
_CENTRE_DENSITY_SQUARED = {
    1: ("Z", "1/4"),
    2: ("A2", "1/12"),
    3: ("D3 (face-centred cubic)", "1/32"),
    4: ("D4", "1/64"),
    5: ("D5", "1/128"),
    6: ("E6", "1/192"),
    7: ("E7", "1/256"),
    8: ("E8", "1/256"),
    9: ("Laminated 9", "1/512"),
    10: ("P10c", "25/16384"),
    11: ("P11a", "81/65536"),
    12: ("K12 (Coxeter-Todd)", "1/729"),
    13: ("P13a", "81/65536"),
    14: ("Laminated 14", "1/768"),
    15: ("Laminated 15", "1/512"),
    16: ("Barnes-Wall 16", "1/256"),
    17: ("Laminated 17", "1/256"),
    18: ("Bierbrauer-Edel 18", f"{3**18}/{4**18}"),
    19: ("Laminated 19", "1/128"),
    20: ("Vardy 20", f"{7**20}/{2**62}"),
    21: ("Laminated 21", "1/32"),
    22: ("Conway-Sloane antipode 22 (rounded down)", f"{3325**2}/{10000**2}"),
    23: ("Laminated 23", "1/4"),
    24: ("Leech", "1"),
    25: ("Laminated 25", "1/2"),
    26: ("Laminated 26", "1/3"),
    28: ("Bacher 28", "1"),
    31: ("Quebbemann 31", f"{3**30}/{2**47}"),
    32: ("Quebbemann 32", f"{3**32}/{2**48}"),
    33: ("Quebbemann 33", f"{3**33}/{2**50}"),
    34: ("Quebbemann 34", f"{3**33}/{2**50}"),
    36: ("Kschischang-Pasupathy 36", f"{2**36}/{3**20}"),
    48: ("P48", f"{3**48}/{2**48}"),
}
