"""No mutated two-point certificate crashes or hangs the verifier, or passes with a wrong bound."""

import json
from fractions import Fraction

import pytest
from certificate_examples import RADIAL_OBLIGATIONS as OBLIGATIONS
from certificate_examples import densest, encoded, judge, two_point
from flint import arb, ctx, fmpq, fmpq_poly, fmpz
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.certify import format as certificates
from pipeline.certify import sturm, verify
from pipeline.certify.__main__ import main
from pipeline.certify.two_point import polynomials

CASES = [(1, 7), (2, 15), (4, 15), (8, 15), (8, 23), (24, 23)]


@pytest.mark.parametrize(("dim", "degree"), CASES)
def test_originals_are_proved(dim, degree):
    assert judge(two_point(dim, degree)) == "proved"


cases = st.sampled_from(CASES)


@settings(max_examples=150, deadline=None)
@given(cases, st.data())
def test_a_changed_coefficient_never_gives_a_wrong_bound(case, data):
    base = two_point(*case)
    values = list(base.coefficients)
    index = data.draw(st.integers(0, base.degree))
    change = data.draw(
        st.sampled_from(["negate", "zero", "double", "nudge", "swap", "shrink", "random"])
    )
    old = values[index]
    values[index] = {
        "negate": -old,
        "zero": fmpz(0),
        "double": 2 * old,
        "nudge": old + data.draw(st.sampled_from([-1, 1])),
        "swap": values[index - 1],
        "shrink": old // 1000,
        "random": fmpz(data.draw(st.integers(-(2**130), 2**130))),
    }[change]
    if change == "swap":
        values[index - 1] = old
    assume(values[-1] != 0)
    judge(certificates.TwoPoint(base.dim, base.radius, tuple(values)))


@settings(max_examples=60, deadline=None)
@given(cases, st.data())
def test_a_large_change_of_an_even_coefficient_is_rejected(case, data):
    # L_k with k even is its own transform: at a common double root it moves f and f^ by the same
    # amount, so one of them to the wrong side. (Odd k may give another valid, weaker bound.)
    base = two_point(*case)
    values = list(base.coefficients)
    index = 2 * data.draw(st.integers(0, base.degree // 2))
    sign = data.draw(st.sampled_from([-1, 1]))
    values[index] += sign * max(abs(values[index]) // 100, max(map(abs, values)) // 100)
    assert judge(certificates.TwoPoint(base.dim, base.radius, tuple(values))) in OBLIGATIONS


@settings(max_examples=60, deadline=None)
@given(cases, st.fractions(min_value=Fraction(1, 50), max_value=Fraction(999_999, 1_000_000)))
def test_a_smaller_radius_is_rejected(case, factor):
    base = two_point(*case)
    smaller = base.radius * fmpq(factor.numerator, factor.denominator)
    changed = certificates.TwoPoint(base.dim, smaller, base.coefficients)
    assert judge(changed) in {"function_at_radius", "function_nonpositive"}


@settings(max_examples=40, deadline=None)
@given(cases, st.fractions(min_value=1, max_value=Fraction(11, 10)))
def test_a_larger_radius_is_a_valid_weaker_bound(case, factor):
    base = two_point(*case)
    larger = base.radius * fmpq(factor.numerator, factor.denominator)
    changed = certificates.TwoPoint(base.dim, larger, base.coefficients)
    assert judge(changed) == "proved"
    assert verify.verify(changed) >= verify.verify(base)


@settings(max_examples=60, deadline=None)
@given(cases, st.integers(1, 48))
def test_another_dimension_never_gives_a_wrong_bound(case, dim):
    base = two_point(*case)
    judge(certificates.TwoPoint(dim, base.radius, base.coefficients))


@pytest.mark.parametrize(("dim", "degree"), CASES)
def test_named_conditions(dim, degree):
    base = two_point(dim, degree)

    def changed(coefficients: list[fmpz]) -> str:
        return judge(certificates.TwoPoint(dim, base.radius, tuple(coefficients)))

    values = list(base.coefficients)
    assert changed([-c for c in values]) == "transform_at_zero"
    # f -> f^: positive far out, or at the radius, where f^ has its first root.
    swapped = [-c if k % 2 else c for k, c in enumerate(values)]
    assert changed(swapped) in {"function_at_radius", "function_nonpositive"}
    # Adding a Gaussian lifts f at its double roots and leaves f^ positive.
    assert changed([values[0] + max(map(abs, values)), *values[1:]]) in {
        "function_at_radius",
        "function_nonpositive",
    }
    # Taking away a little of it pushes f^ below zero at its double roots.
    assert changed([values[0] - abs(values[0]) // 1000, *values[1:]]) in {
        "transform_nonnegative",
        "transform_at_zero",
    }
    dropped = values[:-1]
    assert changed(dropped) in OBLIGATIONS


MALFORMED = {
    "coefficients": [
        None, "12", [], ["1"], [1, 2], ["1.5"] * 16, ["1e9"] * 16, ["0x1"] * 16, ["+1"] * 16,
        [" 1"] * 16, ["-0"] * 16, ["01"] * 16, ["١"] * 16, ["1"] * 15 + ["0"], ["1_0"] * 16,
        ["1"] * 15 + ["9" * (certificates.MAX_DIGITS + 1)], ["9" * 100_000] * 16, [["1"]] * 16,
        ["1\n"] * 16, [""] * 16, ["NaN"] * 16, ["Infinity"] * 16,
    ],
    "radius": [
        None, 12, "12", "1/0", "0/1", "-1/2", "2/4", "1/2/3", "1.5", "nan/1", "inf/1", " 1/2",
        "01/2", "1/2\n", ["1/2"], "9" * (certificates.MAX_DIGITS + 1) + "/1", "1/" + "7" * 50_000,
        "256/1", "9" * certificates.MAX_DIGITS + "/1",
    ],
    "dim": [None, "8", 0, -8, 49, 1000, True, [8], {}],
    "degree": [None, "15", 0, -1, 14, 16, 404, 9999, True, []],
    "schema_version": [None, 0, 2, "1", True],
    "kind": [None, "four_point", 1, ["two_point"]],
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in MALFORMED.items() for value in values],
    ids=lambda x: repr(x)[:20],
)  # fmt: skip
def test_malformed_fields_are_rejected_by_name(key, value):
    with pytest.raises(certificates.Rejected) as caught:
        certificates.parse(encoded(two_point(8, 15), **{key: value}))
    # A degree in range that does not fit is seen as a wrong number of coefficients.
    assert caught.value.condition in ({key, "coefficients"} if key == "degree" else {key})
    assert len(str(caught.value)) < 300


GOOD = encoded(two_point(8, 15))


@pytest.mark.parametrize(
    ("content", "condition"),
    [
        (b"", "json"),
        (b"null", "json"),
        (b"[]", "json"),
        (b'"two_point"', "json"),
        (b"{}", "keys"),
        (b"[" * 1_000_000, "json"),
        (b'{"a":' * 300_000, "json"),
        (b"\xff\xfe" + GOOD, "json"),
        (GOOD + b"x", "json"),
        (GOOD[:-40], "json"),
        (GOOD.replace(b'"dim": 8', b'"dim": 8, "dim": 8'), "json"),
        (GOOD.replace(b'"dim": 8', b'"dim": 8, "hint": "1"'), "keys"),
        (GOOD.replace(b'"dim": 8, ', b""), "keys"),
        (GOOD.replace(b'"dim": 8', b'"dim": NaN'), "dim"),
        (GOOD.replace(b'"dim": 8', b'"dim": Infinity'), "dim"),
        (GOOD.replace(b'"dim": 8', b'"dim": 8.0'), "dim"),
        (GOOD.replace(b'"dim": 8', b'"dim": ' + b"9" * 1_000_000), "json"),
        (b" " * (certificates.MAX_BYTES + 1), "file"),
    ],
    ids=lambda x: repr(x)[:30],
)
def test_malformed_files_are_rejected_by_name(content, condition, tmp_path):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    result = verify.verdict(path)
    assert (result["status"], result["failed_condition"]) == ("rejected", condition)
    assert result["bound"] is None
    json.dumps(result, allow_nan=False)


rationals = st.fractions(min_value=-20, max_value=20, max_denominator=60)


def rational(value: Fraction) -> fmpq:
    return fmpq(value.numerator, value.denominator)


@settings(deadline=None)
@given(
    st.lists(rationals, max_size=6, unique=True),
    st.integers(0, 2),
    rationals,
    st.none() | st.fractions(min_value=Fraction(1, 60), max_value=20, max_denominator=60),
    st.sampled_from([-3, 1, 5]),
)
def test_sturm_finds_prescribed_roots(roots, num_complex_pairs, start, length, scale):
    end = None if length is None else start + length
    assume(start not in roots and end not in roots)
    p = fmpq_poly([scale])
    for root in roots:
        p *= fmpq_poly([-rational(root), 1])
    for pair in range(num_complex_pairs):
        p *= fmpq_poly([2 + pair, 1, 1])
    inside = [root for root in roots if root > start and (end is None or root < end)]
    ends = rational(start), None if end is None else rational(end)
    if not inside:
        assert sturm.no_root("name", "p", p, *ends)[0] == "name"
        return
    with pytest.raises(certificates.Rejected, match=f"counts {len(inside)}$"):
        sturm.no_root("name", "p", p, *ends)


@pytest.mark.parametrize(
    ("p", "start", "end"),
    [
        (fmpq_poly([-1, 1]) ** 2, 2, None),  # a double root, though elsewhere
        (fmpq_poly([1, 0, 1]) ** 2, 0, None),  # a double pair of complex roots
        (fmpq_poly([-1, 1]), 1, None),
        (fmpq_poly([-1, 1]), 0, 1),
    ],
)
def test_no_root_is_claimed_where_balls_cannot_decide(p, start, end):
    with pytest.raises(certificates.Rejected, match="multiple root"):
        sturm.no_root("name", "p", p, fmpq(start), None if end is None else fmpq(end))


def test_balls_too_wide_to_decide_say_so():
    _, transform = polynomials(24, two_point(24, 23).coefficients)
    with ctx.workprec(64):
        assert sturm._signs(transform, fmpq(0), None) is None


@given(st.fractions(min_value=Fraction(1, 10**9), max_value=10**9))
def test_decimals_are_rounded_upward_and_tightly(value):
    text = verify.decimal_upward(fmpq(value.numerator, value.denominator))
    assert value <= Fraction(text) < value * (1 + Fraction(1, 10 ** (verify.BOUND_DIGITS - 2)))
    assert set(text) <= set("0123456789.")


@pytest.mark.parametrize("dim", range(1, 49))
def test_the_bound_formula_agrees_with_gamma_functions(dim):
    # f^ = f = exp(-pi |x|^2) is no certificate but has ratio 1.
    found = verify.bound(certificates.TwoPoint(dim, fmpq(25, 2), (fmpz(1),)))
    with ctx.workprec(200):
        expected = (arb(25) / 16) ** (arb(dim) / 2) / (arb(dim) / 2 + 1).gamma()
        error = arb(found) / expected - 1
        assert abs(error) < 1e-50
        assert not error < 0


def test_command_line(tmp_path, capsys):
    good, bad, out = tmp_path / "good.json", tmp_path / "bad.json", tmp_path / "v" / "verdict.json"
    good.write_bytes(GOOD)
    base = two_point(8, 15)
    bad.write_bytes(encoded(base, coefficients=[str(-c) for c in base.coefficients]))
    assert main([str(good), "--verdict", str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len([line for line in printed if line.startswith("holds")]) == 4
    recorded = json.loads(out.read_text())
    assert recorded["status"] == "proved" and recorded["bound"] == printed[-1]
    assert Fraction(printed[-1]) >= densest(8)
    assert main([str(bad)]) == 1
    assert "transform_at_zero" in capsys.readouterr().out
    assert main([str(tmp_path / "none.json")]) == 2
    with pytest.raises(SystemExit) as usage:
        main([])
    assert usage.value.code == 2
    with pytest.raises(SystemExit) as helped:
        main(["--help"])
    assert helped.value.code == 0
