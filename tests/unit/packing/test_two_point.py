import re
from fractions import Fraction
from math import pi

import mpmath
import pytest
from flint import arb, ctx

from pipeline.certify import format as certificates
from pipeline.certify import verify
from pipeline.errors import SolverError
from pipeline.packing import known, laguerre, rounding, solver
from pipeline.packing.two_point import search as two_point
from pipeline.packing.two_point.config import TwoPoint


def proved(dim: int, degree: int, bits: int = 320) -> Fraction:
    quadrature = solver.solve(dim, degree, bits)
    found = verify.verify(rounding.certificate(quadrature, precision_bits=bits))
    return Fraction(int(found.p), int(found.q))


@pytest.mark.parametrize("dim", [1, 2, 3, 8])
def test_laguerre_functions_are_fourier_eigenfunctions(dim):
    # f^(t) = 2 pi t^(1 - n/2) int_0^oo f(s) J_{n/2-1}(2 pi t s) s^(n/2) ds
    expansion = laguerre.Expansion(dim, tuple(arb(c) for c in (3, -1, 2, 5, -4)))
    order = mpmath.mpf(dim) / 2 - 1

    def radial(polynomial, s):
        z = 2 * mpmath.pi * s**2
        with ctx.workprec(120):
            return mpmath.mpf(float(polynomial(arb(float(z))))) * mpmath.exp(-z / 2)

    for t in (0.35, 0.9, 1.6):
        integrand = lambda s, t=t: (  # noqa: E731
            radial(expansion.function, s)
            * mpmath.besselj(order, 2 * mpmath.pi * t * s)
            * s ** (mpmath.mpf(dim) / 2)
        )
        integral = mpmath.quad(integrand, [0, 0.5, 1, 1.5, 2, 3, 4.5])
        transform = 2 * mpmath.pi * mpmath.mpf(t) ** (-order) * integral
        assert float(transform) == pytest.approx(
            float(radial(expansion.transform, t)), rel=1e-9, abs=1e-11
        )


@pytest.mark.parametrize(
    ("dim", "volume"),
    [(1, 2), (2, pi), (3, 4 * pi / 3), (4, pi**2 / 2), (5, 8 * pi**2 / 15), (8, pi**4 / 24)],
)
def test_bound_is_the_volume_of_half_radius_balls(dim, volume):
    r = 1.3
    found = two_point.density_bound(dim, arb(2 * pi * r**2), arb(0.7))
    assert float(found) == pytest.approx(0.7 * volume * (r / 2) ** dim, rel=1e-13)


@pytest.mark.parametrize(
    ("dim", "length", "closed"),
    [(8, 2, arb.pi() ** 4 / 384), (24, 4, arb.pi() ** 12 / arb(12).fac())],
)
def test_minimal_vectors_of_e8_and_leech_give_their_densities(dim, length, closed):
    # Minimal squared length 2 and 4, f(0) = f^(0): the magic functions.
    found = two_point.density_bound(dim, 2 * arb.pi() * length, arb(1))
    assert float(found / closed) == pytest.approx(1, rel=1e-14)
    assert known.upper_bound(dim).as_float == pytest.approx(float(closed), rel=1e-13)


@pytest.mark.parametrize(
    ("dim", "degree", "kissing"), [(8, 63, (240, 2160, 6720)), (24, 83, (196560, 16773120))]
)
def test_dual_weights_count_lattice_vectors(dim, degree, kissing):
    # Poisson summation over E8 or Leech is the limiting quadrature: w_i exp(z_i/2) is the number
    # of vectors of squared length z_i/(2 pi).
    found = solver.solve(dim, degree, 320)
    for i, count in enumerate(kissing):
        length = float(found.nodes[i]) / (2 * pi)
        assert length == pytest.approx(2 * (i + (1 if dim == 8 else 2)), rel=2e-4)
        assert float(found.weights[i] * (found.nodes[i] / 2).exp()) == pytest.approx(
            count, rel=5e-3
        )


def test_quadrature_annihilates_odd_laguerre_functions():
    found = solver.solve(5, 31, 320)
    with ctx.workprec(320):
        values, _ = laguerre.table(31, arb(5), found.nodes)
        origin = laguerre.at_zero(31, arb(5))
        for k in range(1, 32, 2):
            total = origin[k] + sum(
                (w * row[k] for w, row in zip(found.weights, values, strict=True)), arb(0)
            )
            assert abs(float(total / origin[k])) < 1e-30
            # ... and is no quadrature for degree 35:
    with ctx.workprec(320):
        values, _ = laguerre.table(35, arb(5), found.nodes)
        total = laguerre.at_zero(35, arb(5))[35] + sum(
            (w * row[35] for w, row in zip(found.weights, values, strict=True)), arb(0)
        )
        assert abs(float(total)) > 1e-6


def test_dimension_one_is_within_1e_12_of_the_whole_line():
    assert 1 <= proved(1, 11) < 1 + Fraction(1, 10**12)


# Relative gap to the published two-point value (there rounded to 9 digits or more).
@pytest.mark.parametrize(
    ("dim", "degree", "gap"),
    [
        (2, 27, 1e-8),
        (3, 47, 1e-7),
        (4, 47, 1e-7),
        (6, 47, 3e-7),
        (8, 63, 5e-8),
        (12, 63, 2e-6),
        (16, 63, 1e-5),
        (17, 63, 1e-5),
        (24, 103, 3e-7),
    ],
)
def test_proved_bounds_meet_the_published_ones(dim, degree, gap):
    found = proved(dim, degree)
    ratio = float(found / Fraction(known.two_point_bound(dim).value))
    assert 1 - 2e-9 < ratio < 1 + gap
    packing = known.packing(dim)
    assert packing is not None and float(found) > packing.as_float * (1 - 1e-11)


# Twelve significant digits, or all that the table has.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("dim", "degree", "digits"),
    [
        (17, 203, 12),
        (25, 251, 12),
        pytest.param(36, 323, 12, marks=pytest.mark.sweep),
        pytest.param(48, 403, 10, marks=pytest.mark.sweep),
    ],
)
def test_proved_bounds_have_the_published_digits(dim, degree, digits):
    published = Fraction(known.two_point_bound(dim).value)
    assert abs(proved(dim, degree, 1024) / published - 1) < Fraction(1, 2 * 10 ** (digits - 1))


def test_dimension_eight_is_within_1e_12_of_its_density():
    assert abs(float(proved(8, 139)) / (pi**4 / 384) - 1) < 1e-12


def test_the_bound_falls_geometrically_with_the_degree():
    # Each double root more gains a factor, about 0.44 in dimension 8.
    gaps = [float(proved(8, 4 * m + 3)) / (pi**4 / 384) - 1 for m in range(2, 13)]
    ratios = [b / a for a, b in zip(gaps, gaps[1:], strict=False)]
    assert all(0 < ratio < 0.5 for ratio in ratios)


def test_rounding_costs_what_it_was_asked_to():
    quadrature = solver.solve(8, 31, 320)
    bounds = {}
    for loss in ("1e-8", "1e-12", "1e-30"):
        found = verify.verify(rounding.certificate(quadrature, precision_bits=320, loss=loss))
        bounds[loss] = Fraction(int(found.p), int(found.q))
    for loss in ("1e-8", "1e-12"):
        relative = bounds[loss] / bounds["1e-30"] - 1
        assert float(relative) == pytest.approx(float(loss), rel=0.05)


def test_certificate_is_the_same_at_any_sufficient_precision():
    def certificate(bits: int) -> certificates.TwoPoint:
        return rounding.certificate(solver.solve(8, 23, bits), precision_bits=bits)

    assert certificate(256) == certificate(256) == certificate(512)


def test_a_search_claims_what_is_proved_at_every_degree():
    formulation = TwoPoint(kind="two_point", dim=40, degree=23)
    found = two_point.search(formulation, 256)
    degrees = [step.parameters["degree"] for step in found.evaluations]
    assert degrees == [7, 11, 15, 23] and not found.failed
    for degree, step in zip(degrees, found.evaluations, strict=True):
        assert "e" not in step.bound
        # The certificate gives away 1e-20 of the optimum.
        assert float(step.bound) == pytest.approx(float(proved(40, degree)), rel=1e-14)
    assert found.certificate == certificates.to_json(
        rounding.certificate(solver.solve(40, 23, 256), precision_bits=256)
    )


@pytest.mark.parametrize(("dim", "degree"), [(3, 47), (12, 47)])
def test_a_solve_goes_on_from_every_rung_to_the_same_bits(dim, degree):
    # In dimension 3 the branch is lost and followed from dimension 8: two climbs.
    states: list[solver.Climbs] = []
    whole = solver.solve(dim, degree, 256, reached=states.append)
    assert set(states[-1]) == ({3, 8} if dim == 3 else {12})
    for climbs in states[:: len(states) // 5]:
        seen: list[solver.Climbs] = []
        assert solver.solve(dim, degree, 256, resume=climbs, reached=seen.append) == whole
        assert len(seen) == len(states) - states.index(climbs) - 1


def test_a_longer_climb_serves_every_lower_degree():
    states: list[solver.Climbs] = []
    solver.solve(8, 47, 256, reached=states.append)
    for degree in (3, 15, 31):
        assert solver.solve(8, degree, 256, resume=states[-1]) == solver.solve(8, degree, 256)


def test_ladder_ends_at_the_degree_asked_for():
    assert two_point.ladder(TwoPoint(kind="two_point", dim=8, degree=47)) == (11, 23, 35, 47)
    assert two_point.ladder(TwoPoint(kind="two_point", dim=8, degree=3)) == (3,)


@pytest.mark.parametrize("degree", [0, 2, 4, 9, 48])
def test_other_degrees_are_refused(degree):
    with pytest.raises(SolverError, match="4m \\+ 3"):
        solver.solve(8, degree, 128)


def test_too_few_bits_are_an_error_not_a_wrong_bound():
    with pytest.raises(SolverError, match="raise precision_bits"):
        quadrature = solver.solve(8, 63, 64)
        rounding.certificate(quadrature, precision_bits=64)


@pytest.mark.parametrize(
    ("dim", "degree", "bits", "remedy"),
    [
        (24, 3, 64, "raise precision_bits"),
        (1, 15, 128, "raise precision_bits to 192; where that does not help, lower the degree"),
        (1, 15, 192, "lower the degree (more precision_bits do not help)"),
    ],
)
def test_what_helps_where_there_is_no_quadrature(dim, degree, bits, remedy):
    with pytest.raises(SolverError, match=f"found none; {re.escape(remedy)}$"):
        solver.solve(dim, degree, bits)


@pytest.mark.parametrize("dim", [1, 24, 48])
def test_the_lowest_degree_ends_with_a_certificate_at_112_bits_and_with_none_below_84(dim):
    formulation = TwoPoint(kind="two_point", dim=dim, degree=3)
    assert two_point.search(formulation, 112).certificate
    assert not two_point.search(formulation, 83).certificate


def test_known_tables_are_consistent():
    for dim in range(1, 49):
        best, linear = known.upper_bound(dim), known.two_point_bound(dim)
        # Rounded upward at nine digits, so it may only exceed.
        assert best.as_float <= linear.as_float * (1 + 1e-15)
        packing = known.packing(dim)
        assert packing is None or packing.as_float <= best.as_float * (1 + 1e-11)
    assert known.upper_bound(9).kind == "three-point" and known.upper_bound(8).kind == "exact"
    with pytest.raises(KeyError, match="1..48"):
        known.upper_bound(49)


@pytest.mark.parametrize(
    ("dim", "density"), [(2, pi / 12**0.5), (3, pi / 18**0.5), (4, pi**2 / 16)]
)
def test_packing_densities_of_root_lattices(dim, density):
    packing = known.packing(dim)
    assert packing is not None and packing.as_float == pytest.approx(density, rel=1e-11)
