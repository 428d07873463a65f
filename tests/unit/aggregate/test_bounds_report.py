"""What the report shows of bounds: functions against the radius, and a row a dimension."""

import json
from dataclasses import replace

import finished_experiment as finished
import mpmath
import numpy as np
import pytest

from pipeline.aggregate.figures.figure import svg
from pipeline.aggregate.figures.profile import envelope, radial_profile
from pipeline.aggregate.figures.profile_figure import profile_figure
from pipeline.aggregate.read.collect import BoundResult, Verdict, collect
from pipeline.aggregate.sections.bounds import best, by_dimension, headlines
from pipeline.aggregate.sections.convergence import bound_convergence
from pipeline.certify import format as certificates
from pipeline.packing.two_point.config import TwoPoint


def certificate(dim: int, degree: int) -> certificates.TwoPoint:
    return certificates.parse(json.dumps(finished.certificate(dim, degree)).encode())


@pytest.mark.parametrize(("dim", "degree"), [(1, 7), (8, 31), (24, 95)])
def test_profiles_are_the_laguerre_expansions(dim, degree):
    content = certificate(dim, degree)
    profile = radial_profile(content)
    order = mpmath.mpf(dim) / 2 - 1

    def value(x: float, sign: int) -> mpmath.mpf:
        z = 2 * mpmath.pi * mpmath.mpf(x) ** 2
        terms = (
            sign**k * int(c) * mpmath.laguerre(k, order, z)
            for k, c in enumerate(content.coefficients)
        )
        return mpmath.fsum(terms) * mpmath.exp(-z / 2)

    with mpmath.workdps(120):
        for index in (0, 7, 300, 444, 999):
            x = float(profile.x[index])
            for values, sign in ((profile.function, -1), (profile.transform, 1)):
                expected = value(x, sign) / value(0.0, sign)
                assert values[index] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(("dim", "degree"), [(1, 7), (3, 31), (8, 63), (24, 95)])
def test_profiles_have_the_signs_of_the_theorem(dim, degree):
    profile = radial_profile(certificate(dim, degree))
    beyond = profile.x > profile.radii[0]
    assert (profile.transform > 0).all()
    assert (profile.function[beyond] < 0).all() and (profile.function[~beyond] > 0).all()
    assert profile.function[0] == profile.transform[0] == 1


# In dimensions 8 and 24 roots lie at the squared lengths 2, 4, ... of E8 and 4, 6, ... of Leech, so
# that twelve lobes begin within 24 of the first; in dimension 1 degree 7 has one more root after r.
@pytest.mark.parametrize(("dim", "degree", "lobes"), [(1, 7, 2), (8, 63, 12), (24, 95, 12)])
def test_an_envelope_touches_every_lobe_and_is_never_crossed(dim, degree, lobes):
    profile = radial_profile(certificate(dim, degree))
    beyond = profile.x > profile.radii[0]
    for values in (profile.function, profile.transform):
        scaled = np.abs(values / envelope(profile, values))[beyond]
        peaks = (scaled[1:-1] > scaled[:-2]) & (scaled[1:-1] > scaled[2:])
        assert scaled.max() < 1.001
        assert scaled[1:-1][peaks] == pytest.approx(np.ones(lobes), abs=1e-3)


@pytest.mark.parametrize("degree", [3, 7])
def test_functions_without_two_lobes_are_drawn(degree):
    profile = radial_profile(certificate(8, degree))
    scaled = profile.transform / envelope(profile, profile.transform)
    assert scaled[profile.x > profile.radii[0]].max() == pytest.approx(1, abs=1e-3)
    profile_figure(profile).draw_without_rendering()


def test_the_figure_shows_the_signs_beyond_r():
    profile = radial_profile(certificate(8, 63))
    whole, beyond = profile_figure(profile).axes
    assert [line.get_label() for line in whole.lines[:2]] == ["f", "f̂, its Fourier transform"]
    f, transform = ((np.asarray(y) for y in line.get_data()) for line in beyond.lines[:2])
    for (x, y), sign in ((f, -1), (transform, 1)):
        lobes = sign * y[x > profile.radii[0]]
        assert lobes.min() >= 0 and lobes.max() == pytest.approx(1, abs=1e-3)


@pytest.fixture
def results(tmp_path) -> list[BoundResult]:
    parts = finished.experiment(datasets={}, runs={})
    data, folder = finished.write_all(tmp_path, parts)
    return collect(parts, data=data, results=folder).bounds


def of_kind(result: BoundResult, kind: str, bound: str | None) -> BoundResult:
    """Return `result` as one of another formulation and bound; None is a rejected one."""
    formulation = TwoPoint.model_construct(kind=kind, dim=result.config.formulation.dim, degree=31)
    config = result.config.model_copy(update={"formulation": formulation})
    status = "proved" if bound else "rejected"
    verdict = Verdict(status, bound, None if bound else "no", [], None, 2.0)
    return replace(result, name=f"{result.name}_{kind}", config=config, verdict=verdict)


def test_without_three_point_bounds_their_column_is_empty(results):
    rows = by_dimension(results)
    assert [row["dim"] for row in rows] == [8, 12, 24]
    for row in rows:
        two, three = row["ours"]
        assert two["bound"] and not three["bound"] and three["rejected"] == 0
        assert row["proved"] and float(row["best"]) == pytest.approx(float(two["bound"]), rel=1e-7)


def test_the_best_of_a_dimension_is_the_least_proved_bound(results):
    d12 = next(r for r in results if r.config.formulation.dim == 12)
    three = of_kind(d12, "three_point", "0.0797117710668")
    (row,) = by_dimension([d12, three])
    assert [cell["bound"] for cell in row["ours"]] == ["0.083775832", "0.079711772"]
    assert row["best"] == "0.0797117710668" and row["gap"].startswith("−")
    assert best([d12, three]) is three


def test_a_rejected_bound_is_counted_and_never_the_best(results):
    d12 = next(r for r in results if r.config.formulation.dim == 12)
    refused = of_kind(d12, "three_point", None)
    (row,) = by_dimension([refused, d12])
    assert row["ours"][1] == {"bound": "", "degree": None, "rejected": 1}
    assert row["best"] == "0.08377583112" and row["proved"]
    (row,) = by_dimension([refused])
    assert row["best"] == "–" and not row["proved"]


def test_several_bounds_of_a_formulation_give_the_best_of_them(results):
    d12 = next(r for r in results if r.config.formulation.dim == 12)
    weaker = of_kind(d12, "two_point", "0.09")
    (row,) = by_dimension([weaker, d12])
    assert row["ours"][0]["bound"] == "0.083775832"
    # The times of all that was done for the dimension: 2 x 71.3 s, 0.8 s + 2 s.
    assert (row["search_time"], row["verify_time"]) == ("2 min 23 s", "2.8 s")


def test_many_dimensions_have_one_headline(results):
    d12 = next(r for r in results if r.config.formulation.dim == 12)
    published = d12.published.value
    many = []
    for dim in range(1, 11):
        formulation = TwoPoint.model_construct(kind="two_point", dim=dim, degree=31)
        config = d12.config.model_copy(update={"formulation": formulation})
        # Above in 4 dimensions, equal in 3, below in 2, and one without a bound.
        bound = "0.09" if dim < 5 else f"{published}4" if dim < 8 else "0.07" if dim < 10 else None
        many.append(replace(of_kind(d12, "two_point", bound), config=config))
    (row,) = headlines(many)
    assert row["name"] == "n = 1 to 10" and row["result"] == "9 of 10 bounds"
    assert "below them in 2 dimensions, equal" in row["against"]
    assert row["against"].endswith("digits in 3, above in 4")
    assert [r["what"][-5:] for r in headlines(many[:3])] == ["n = 1", "n = 2", "n = 3"]


def test_many_bounds_are_told_apart_by_shade(results, recwarn):
    few, many = bound_convergence(results), bound_convergence(results * 5)
    assert len(few.axes) == 1 and few.axes[0].get_legend() is not None
    panel, bar = many.axes
    assert panel.get_legend() is None and bar.get_ylabel() == "dimension n"
    assert [label.get_text() for label in bar.get_yticklabels()][0] == "8"
    assert len({line.get_color() for line in panel.lines}) == len(results) * 5
    # The report writes it as SVG: nothing collapses for want of room.
    svg(many, "many")
    assert not recwarn.list
