"""The best certificates we keep: small, verified, and found again by the solver."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from certificate_examples import densest, radial, sums_over_checkerboard, violation
from flint import arb, ctx

from pipeline.certify import format as certificates
from pipeline.certify import verify
from pipeline.packing import known
from pipeline.packing.two_point import search as two_point
from pipeline.packing.two_point.config import TwoPoint

FOLDER = Path(__file__).parent / "certificates"
# dim: (degree, precision_bits, relative distance to the exact density, proved bound)
STORED = {
    8: (163, 512, 1e-14, "0.253669507901050321468890"),
    24: (243, 768, 1.2e-13, "0.00192957430940413205849551"),
}


def path_of(dim: int) -> Path:
    return FOLDER / f"n{dim}_two_point.json"


# Dimensions in which a stored three-point certificate proves more than was published.
NEW = (4, 5, 6, 7, *range(9, 17))


@pytest.mark.parametrize("dim", [8, pytest.param(24, marks=pytest.mark.slow)])
def test_stored_certificates_are_proved(dim):
    degree, _, gap, bound = STORED[dim]
    assert path_of(dim).stat().st_size < 20_000
    result = verify.verdict(path_of(dim))
    assert (result["status"], result["bound"]) == ("proved", bound)
    assert certificates.parse(path_of(dim).read_bytes()).degree == degree
    with ctx.workprec(256):
        exact = arb.pi() ** (dim // 2) / {8: arb(384), 24: arb(12).fac()}[dim]
        found = Fraction(bound)
        relative = arb(found.numerator) / found.denominator / exact - 1
        assert 0 < relative < gap


@pytest.mark.parametrize("dim", [8, pytest.param(24, marks=pytest.mark.slow)])
def test_the_solver_finds_the_stored_certificate(dim):
    degree, bits, _, _ = STORED[dim]
    formulation = TwoPoint(kind="two_point", dim=dim, degree=degree)
    found = two_point.search(formulation, bits)
    assert found.certificate == json.loads(path_of(dim).read_text())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("n*_three_point.json")), ids=lambda p: p.stem)
def test_stored_three_point_certificates_beat_two_points(path):
    assert path.stat().st_size < 2_000_000
    result = verify.verdict(path)
    assert result["status"] == "proved", result
    assert path.stem == f"n{result['dim']}_{result['formulation']}"
    bound = Fraction(result["bound"])
    assert densest(result["dim"]) <= bound < Fraction(known.two_point_bound(result["dim"]).value)
    certificate = certificates.parse(path.read_bytes())
    assert violation(certificate, num_points=500) is None
    if certificate.dim <= 5 or certificate.outer_radius**2 < 2 * certificate.inner_radius**2:
        # Hundreds of vectors of D_n enter, not thousands.
        f2, f3, least = sums_over_checkerboard(certificate)
        origin = certificate.kernel[0][0][0] + radial(certificate, arb(0))[0]
        assert f3 > 0 and f2 > least and f2 + f3 < origin


@pytest.mark.parametrize("dim", NEW)
def test_three_point_bounds_are_below_the_published_ones(dim):
    content = (FOLDER / f"n{dim}_three_point.json").read_bytes()
    # What the bound is, proved by the test above.
    proved = verify.bound(certificates.parse(content))
    assert Fraction(int(proved.p), int(proved.q)) < Fraction(known.upper_bound(dim).value)
