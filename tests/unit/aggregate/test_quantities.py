"""Exact decimals are never rounded below; short forms say what they should."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.aggregate.read import measured
from pipeline.aggregate.read import quantities as q

decimals = st.decimals(min_value="1e-60", max_value="1e6", allow_nan=False).map(lambda x: f"{x:f}")


@given(decimals)
def test_the_double_above_is_the_least_one(text):
    value = q.float_above(text)
    assert Decimal(value) >= Decimal(text)
    assert Decimal(math.nextafter(value, 0)) < Decimal(text)


@given(decimals, st.integers(1, 30))
def test_shortening_rounds_upward_by_less_than_a_digit(text, digits):
    short, exact = Fraction(q.shorten_above(text, digits)), Fraction(text)
    assert exact <= short < exact * (1 + Fraction(10) ** (1 - digits))


@given(decimals, decimals)
def test_the_gap_has_the_sign_of_the_difference(bound, reference):
    gap = q.relative_gap(bound, reference)
    assert (gap > 0) == (Decimal(bound) > Decimal(reference))
    assert (gap == 0) == (Decimal(bound) == Decimal(reference))


@pytest.mark.parametrize(
    ("bound", "reference", "text"),
    [
        ("0.25366950790104801364", "0.2536695079010480", "none in 16 digits"),
        ("0.25366950790104821", "0.2536695079010480", "+8.3\u00a0×\u00a010⁻¹⁶"),
        ("1.0000001", "1", "+1.0\u00a0×\u00a010⁻⁷"),
        ("1", "1", "0"),
        ("0.630", "0.640", "−1.6\u00a0×\u00a010⁻²"),
        ("0.63", "0.64", "none in 2 digits"),
    ],
)
def test_a_gap_is_none_only_within_the_last_published_digit(bound, reference, text):
    assert q.gap_text(bound, reference) == text


@pytest.mark.parametrize("text", ["", "nan", "1e99999", "-1", "0", "0.0", ".5", "1_0", " 1", "١"])
def test_what_is_no_positive_decimal_is_refused(text):
    with pytest.raises(ValueError, match="positive decimal"):
        q.exact_decimal(text)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (q.short(0.04), "0.0400"),
        (q.short(174913), "174,913"),
        (q.short(5123.4), "5,123"),
        (q.short(100.0), "100"),
        (q.short(4.2e-6), "4.20\u00a0×\u00a010⁻⁶"),
        (q.short(None), "–"),
        (q.percent(0.00625), "0.625%"),
        (q.duration(4.35), "4.3 s"),
        (q.duration(0.0104), "0.010 s"),
        (q.duration(33.0), "33.0 s"),
        (q.duration(185), "3 min 05 s"),
        (q.duration(7800), "2 h 10 min"),
        (q.size(9_830_400), "9.38 MiB"),
    ],
)
def test_short_forms(shown, text):
    assert shown == text


def test_gaps_are_not_lost_to_cancellation():
    gap = q.relative_gap("0.2536695079010481", "0.2536695079010480")
    assert float(gap) == pytest.approx(3.942e-16, rel=1e-3)


def test_figures_of_a_record_bring_unit_standard_error_and_kind():
    record = {
        "summary": {
            "relative_l2": 0.25, "relative_l2_standard_error": 0.01, "relative_l2@64": 0.5,
            "relative_error_bound": 1, "bytes": 12, "is_best": True, "choice": "sdgd", "peak": None,
        },
        "wall_time_s": 3.5,
        "peak_memory_mb": None,
    }  # fmt: skip
    figures = list(measured.of_record(record))
    assert figures == [
        q.Figure("relative_l2", 0.25, "1", error=0.01),
        q.Figure("relative_l2_standard_error", 0.01),
        q.Figure("relative_l2@64", 0.5),
        q.Figure("relative_error_bound", 1.0, kind="asymptotic"),
        q.Figure("bytes", 12.0, "B"),
        q.Figure("wall_time_s", 3.5, "s"),
    ]
    # A limit that holds for many points only is no proof, and no label of its own.
    assert {figure.label for figure in figures} == {"empirical"}


@given(decimals)
def test_a_proved_figure_is_never_below_its_decimal(text):
    value = q.float_above(text)
    assert q.Figure("upper_bound", value, "density", kind="proved", text=text).label == "proved"
    with pytest.raises(AssertionError):
        q.Figure("upper_bound", math.nextafter(value, 0), "density", kind="proved", text=text)
    with pytest.raises(AssertionError):
        q.Figure("upper_bound", value, "density", kind="proved")
