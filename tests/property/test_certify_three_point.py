"""What the verifier of three-point bounds computes is right, and no mutated certificate passes."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, product
from math import prod

import certificate_examples as examples
import pytest
from certificate_examples import OBLIGATIONS, encoded, judge, three_point
from flint import Ordering, arb, ctx, fmpq, fmpq_mpoly_ctx, fmpz, fmpz_mat
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.certify import bernstein, verify
from pipeline.certify import format as certificates
from pipeline.certify import three_point as theorem
from pipeline.certify.__main__ import main
from pipeline.certify.work import Work

DIMS = (3, 4)
dims = st.sampled_from(DIMS)
unit = st.fractions(min_value=0, max_value=1, max_denominator=1000)


def rational(value: Fraction) -> fmpq:
    return fmpq(value.numerator, value.denominator)


@st.composite
def kernels(draw) -> certificates.ThreePoint:
    """Return arbitrary numbers in the shape of a certificate: they need not prove anything."""
    degree = draw(st.integers(1, 5))
    sizes = [degree + 2, *range(degree, 0, -1)]
    entries = st.integers(-99, 99).map(fmpz)
    kernel = tuple(
        tuple(tuple(draw(entries) for _ in range(i + 1)) for i in range(size)) for size in sizes
    )
    inner = fmpq(draw(st.integers(20, 40)), 10)
    outer = inner * fmpq(draw(st.integers(101, 199)), 100)
    return certificates.ThreePoint(draw(st.integers(3, 24)), inner, outer, (fmpz(1),) * 2, kernel)


def inside(certificate: certificates.ThreePoint, fractions: list[Fraction]) -> list[fmpq]:
    """Return points of [z_r, z_R]."""
    start, end = certificate.inner_radius**2, certificate.outer_radius**2
    return [start + (end - start) * rational(fraction) for fraction in fractions]


def close(found: fmpq, expected: arb) -> bool:
    """Return whether two numbers agree to 60 digits of the larger of the terms they come from."""
    return abs(arb(found) - expected) < (1 + abs(expected)) * arb(10) ** -60


@settings(deadline=None)
@given(kernels(), st.tuples(unit, unit, unit))
def test_polynomials_are_the_kernel_of_the_theorem(certificate, fractions):
    u, v, t = inside(certificate, fractions)
    rho, sigma = (
        certificate.inner_radius
        + (certificate.outer_radius - certificate.inner_radius) * rational(f)
        for f in fractions[:2]
    )
    theta, end = rational(fractions[2]), certificate.outer_radius**2
    far = end + theta * ((rho + sigma) ** 2 - end)
    with ctx.workprec(400):
        w = (u + v - t) / 2
        expected = examples.kernel(certificate, arb(u), arb(v), arb(w))
        assert close(theorem.kernel(certificate, u, v, w), expected)
        assert close(theorem.at_origin(certificate, u), examples.at_origin(certificate, arb(u)))
        expected = examples.triangle(certificate, arb(u), arb(v), arb(t))
        assert close(theorem.triangles(certificate)(u, v, t), expected)
        u, v = rho**2, sigma**2
        expected = examples.kernel(certificate, arb(u), arb(v), arb((u + v - far) / 2))
        assert close(theorem.far_pairs(certificate)(rho, sigma, theta), expected)


@settings(max_examples=40, deadline=None)
@given(kernels(), st.integers(0, 2**32 - 1))
def test_kernels_of_semidefinite_blocks_are_positive_definite(certificate, seed):
    # Points of X in R^n: the Gram matrix of f3, with a semidefinite kernel, has no negative
    # eigenvalue. It is the theorem of Schoenberg, and the place of the origin, put to the test.
    import numpy as np

    blocks = []
    for block in certificate.kernel:
        factor = np.array(
            [[int(row[j]) if j < len(row) else 0 for j in range(len(block))] for row in block]
        )
        product = factor @ factor.T
        blocks.append(
            tuple(tuple(fmpz(int(x)) for x in row[: i + 1]) for i, row in enumerate(product))
        )
    certificate = replace(certificate, kernel=tuple(blocks))
    assert all(theorem.semidefinite(block) for block in certificate.kernel)
    random = np.random.default_rng(seed)
    directions = random.normal(size=(11, certificate.dim))
    lengths = random.uniform(
        float(certificate.inner_radius), float(certificate.outer_radius), size=11
    )
    points = directions / np.linalg.norm(directions, axis=1, keepdims=True) * lengths[:, None]
    gram = np.zeros((12, 12))
    gram[0, 0] = int(certificate.kernel[0][0][0])
    with ctx.workprec(300):
        for i, x in enumerate(points, start=1):
            gram[0, i] = gram[i, 0] = float(examples.at_origin(certificate, arb(x @ x)))
            for j, y in enumerate(points[:i], start=1):
                inner = [arb(a @ b) for a, b in ((x, x), (y, y), (x, y))]
                gram[i, j] = gram[j, i] = float(examples.kernel(certificate, *inner).mid())
    eigenvalues = np.linalg.eigvalsh(gram)
    assert eigenvalues[0] >= -1e-9 * max(1.0, eigenvalues[-1])


@given(st.integers(1, 4), st.data())
def test_semidefinite_agrees_with_the_principal_minors(size, data):
    entry = st.integers(-3, 3)
    rows = [[data.draw(entry) for _ in range(i + 1)] for i in range(size)]
    if data.draw(st.booleans()):
        rank = data.draw(st.integers(1, size))
        factor = [[data.draw(entry) for _ in range(rank)] for _ in range(size)]
        rows = [
            [sum(a * b for a, b in zip(factor[i], factor[j], strict=True)) for j in range(i + 1)]
            for i in range(size)
        ]
    minors = [
        fmpz_mat([[rows[max(i, j)][min(i, j)] for j in chosen] for i in chosen]).det()
        for number in range(1, size + 1)
        for chosen in combinations(range(size), number)
    ]
    block = tuple(tuple(map(fmpz, row)) for row in rows)
    assert theorem.semidefinite(block) == all(minor >= 0 for minor in minors)


@given(
    st.fractions(min_value=1, max_value=60, max_denominator=50),
    st.fractions(min_value=Fraction(1, 50), max_value=60, max_denominator=50),
    unit,
)
def test_the_polynomial_is_as_close_to_the_exponential_as_it_says(start, length, fraction):
    polynomial, error = theorem.exponential_of_half(rational(start), rational(start + length))
    z = rational(start + length * fraction)
    with ctx.workprec(1000):
        exact = (arb(z) / 2).exp()
        assert abs(arb(polynomial(z)) - exact) < arb(error)
        assert arb(error) < (arb(rational(start + length)) / 2).exp() * arb(2) ** -80


degree_lists = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple)


@st.composite
def polynomials(draw, degrees=degree_lists):
    """Return the coefficients of a polynomial, its degrees, and a box."""
    degrees = draw(degrees)
    coefficient = st.fractions(min_value=-9, max_value=9, max_denominator=9)
    exponents = [()]
    for n in degrees:
        exponents = [(*index, k) for index in exponents for k in range(n + 1)]
    terms = {index: rational(draw(coefficient)) for index in exponents}
    ends = st.fractions(min_value=-5, max_value=5, max_denominator=7)
    domain = []
    for _ in degrees:
        a, b = draw(ends), draw(ends)
        assume(a != b)
        domain.append((rational(min(a, b)), rational(max(a, b))))
    return terms, degrees, domain


def value(terms, point) -> fmpq:
    return sum(
        (c * prod((x**k for x, k in zip(point, index, strict=True)), start=fmpq(1)))
        for index, c in terms.items()
    )


@given(polynomials(), st.lists(unit, min_size=3, max_size=3))
def test_bernstein_coefficients_enclose_the_polynomial(case, fractions):
    terms, degrees, domain = case
    found = bernstein.coefficients(terms, degrees, domain)
    point = [a + (b - a) * rational(f) for (a, b), f in zip(domain, fractions, strict=False)]
    assert min(found) <= value(terms, point) <= max(found)
    assert found[0] == value(terms, [a for a, _ in domain])
    assert found[-1] == value(terms, [b for _, b in domain])


def unpacked(tensor: fmpz, number: int) -> list[int]:
    return [((int(tensor) >> (64 * i)) & (2**64 - 1)) - 2**62 for i in range(number)]


@settings(max_examples=100, deadline=None)
@given(polynomials(), st.lists(st.booleans(), max_size=40))
def test_halving_keeps_upper_bounds_of_the_coefficients(case, sides):
    terms, degrees, domain = case
    assume(any(terms.values()))
    exact = bernstein.coefficients(terms, degrees, domain)
    scale = fmpq(2**62 - 1) / max(map(abs, exact))
    box = bernstein.pack(exact), ((0, 0),) * len(degrees)
    for side in sides:
        box = bernstein.halves(degrees, 0, box)[side]
    place = [
        (a + (b - a) * fmpq(i, 2**k), a + (b - a) * fmpq(i + 1, 2**k))
        for (a, b), (i, k) in zip(domain, box[1], strict=True)
    ]
    expected = bernstein.coefficients(terms, degrees, place)
    packed = unpacked(box[0], len(exact))
    # Rounded up only: by less than 1 at first and at most 1 in each of the steps of each halving.
    most = 1 + len(sides) * max(degrees)
    assert all(0 <= x - scale * e <= most for x, e in zip(packed, expected, strict=True))


@st.composite
def tensors(draw):
    """Return degrees, coefficients, the stride of each axis, and the coefficients packed."""
    degrees = draw(degree_lists)
    strides = [prod(n + 1 for n in degrees[axis + 1 :]) for axis in range(len(degrees))]
    # At the ends of a field a carry would reach its neighbour.
    field = st.integers(-(2**62), 2**62 - 1) | st.sampled_from([-(2**62), -1, 0, 2**62 - 1])
    number = prod(n + 1 for n in degrees)
    values = draw(st.lists(field, min_size=number, max_size=number))
    packed = fmpz(sum((x + 2**62) << (64 * i) for i, x in enumerate(values)))
    return degrees, values, strides, packed


@given(tensors())
def test_a_split_is_de_casteljau_with_every_mean_rounded_up(case):
    degrees, values, strides, packed = case
    for axis, (n, stride) in enumerate(zip(degrees, strides, strict=True)):
        halves = [unpacked(half, len(values)) for half in bernstein.split(degrees, packed, axis)]
        for start in (i for i in range(len(values)) if (i // stride) % (n + 1) == 0):
            line = slice(start, start + n * stride + 1, stride)
            row, left, right = values[line], [], []
            while row:
                left, right = [*left, row[0]], [row[-1], *right]
                row = [-(-(a + b) // 2) for a, b in zip(row, row[1:], strict=False)]
            assert [half[line] for half in halves] == [left, right]


@given(tensors())
def test_a_corner_is_found_where_a_value_is_not_negative(case):
    degrees, values, strides, packed = case
    steps = [(0, n * stride) for n, stride in zip(degrees, strides, strict=True)]
    found = bernstein.nonnegative_corner(degrees, packed)
    if found:
        assert values[sum(step[end] for step, end in zip(steps, found, strict=True))] >= 0
    else:
        assert all(values[sum(corner)] < 0 for corner in product(*steps))


def polynomial_of(terms, names):
    variables = fmpq_mpoly_ctx.get(names, Ordering.lex).gens()
    return sum(
        c * prod(x**k for x, k in zip(variables, index, strict=True)) for index, c in terms.items()
    )


SQUARE = [(fmpq(0), fmpq(1))] * 2
curves = st.lists(
    st.fractions(min_value=-3, max_value=3, max_denominator=4), min_size=4, max_size=4
)


def in_two_variables(numbers: list[Fraction]):
    x, y = fmpq_mpoly_ctx.get(("x", "y"), Ordering.lex).gens()
    a, b, c, d = map(rational, numbers)
    return a + b * x + c * y + d * x * y**2


@settings(max_examples=60, deadline=None)
@given(curves, st.fractions(min_value=Fraction(1, 20), max_value=2, max_denominator=20))
def test_a_negative_polynomial_is_proved(numbers, margin):
    p = -(in_two_variables(numbers) ** 2) - rational(margin)
    assert bernstein.negative("name", p, SQUARE, 0, Work())[0] == "name"


@settings(max_examples=60, deadline=None)
@given(curves, unit, unit, st.fractions(min_value=0, max_value=1, max_denominator=10**9))
def test_a_polynomial_with_a_zero_is_rejected_at_a_point(numbers, x, y, height):
    q = in_two_variables(numbers)
    assume(q.total_degree() > 0)
    p = rational(height) - (q - q(rational(x), rational(y))) ** 2
    with pytest.raises(certificates.Rejected) as caught:
        bernstein.negative("name", p, SQUARE, 0, Work())
    assert caught.value.condition == "name"
    at = caught.value.point
    assert list(at) == ["x", "y"]
    # No decision: so close to a zero that no further halving helps.
    assert p(*(fmpq(round(10**9 * z), 10**9) for z in at.values())) > -fmpq(1, 10**6)


@settings(max_examples=40, deadline=None)
@given(st.tuples(unit, unit, unit), st.fractions(min_value=-1, max_value=1, max_denominator=50))
def test_symmetry_changes_no_decision(point, height):
    assume(abs(height) > Fraction(1, 100))
    variables = fmpq_mpoly_ctx.get(("x", "y", "z"), Ordering.lex).gens()
    # -(distance to the orbit of the point)^2, in the elementary symmetric functions.
    p = variables[0] * 0 + rational(height)
    for number in (1, 2, 3):
        chosen = list(combinations(range(3), number))
        e = sum(prod((variables[i] for i in c), start=fmpq(1)) for c in chosen)
        p -= (e - rational(sum(prod(point[i] for i in c) for c in chosen))) ** 2
    cube = [(fmpq(0), fmpq(1))] * 3
    for symmetric in (0, 2, 3):
        if height < 0:
            bernstein.negative("name", p, cube, symmetric, Work())
        else:
            with pytest.raises(certificates.Rejected):
                bernstein.negative("name", p, cube, symmetric, Work())


@pytest.mark.parametrize("dim", DIMS)
def test_the_examples_are_proved(dim):
    assert judge(three_point(dim)) == "proved"
    assert [name for name, _ in verify.obligations(three_point(dim), Work())] == list(OBLIGATIONS)


@pytest.mark.parametrize("dim", DIMS)
def test_the_inequalities_of_the_proof_hold_on_a_lattice(dim):
    certificate = three_point(dim)
    f2, f3, least = examples.sums_over_checkerboard(certificate)
    origin = arb(certificate.kernel[0][0][0]) + examples.radial(certificate, arb(0))[0]
    assert f3 > 0 and f2 > least and f2 + f3 < origin
    # D_3 and D_4 are the densest packings known: little is left between the two sides.
    assert least / origin > 0.9


def with_entry(certificate, block, i, j, entry):
    rows = [list(row) for row in certificate.kernel[block]]
    rows[i][j] = fmpz(entry)
    blocks = list(certificate.kernel)
    blocks[block] = tuple(map(tuple, rows))
    return replace(certificate, kernel=tuple(blocks))


@st.composite
def entries(draw):
    """Return a certificate and the place of an entry of its kernel."""
    certificate = three_point(draw(dims))
    block = draw(st.integers(0, certificate.kernel_degree))
    i = draw(st.integers(0, len(certificate.kernel[block]) - 1))
    return certificate, block, i, draw(st.integers(0, i))


changes = {
    "negate": lambda old, unit: -old,
    "zero": lambda old, unit: fmpz(0),
    "double": lambda old, unit: 2 * old,
    "nudge": lambda old, unit: old + 1,
    "shrink": lambda old, unit: old // 1000,
    "raise": lambda old, unit: old + unit // 100,
    "lower": lambda old, unit: old - unit // 100,
    "huge": lambda old, unit: old + 10**40 * unit,
}


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(entries(), st.sampled_from(sorted(changes)))
def test_a_changed_kernel_entry_never_gives_a_wrong_bound(place, change):
    certificate, block, i, j = place
    largest = max(x for rows in certificate.kernel for row in rows for x in row)
    old = certificate.kernel[block][i][j]
    judge(with_entry(certificate, block, i, j, changes[change](old, largest)))


@settings(max_examples=60, deadline=None)
@given(entries(), st.integers(1, 10**6))
def test_a_negative_diagonal_is_not_semidefinite(place, amount):
    certificate, block, i, _ = place
    assert judge(with_entry(certificate, block, i, i, -amount)) == "kernel_semidefinite"


@settings(max_examples=60, deadline=None)
@given(dims, st.integers(0, 15), st.sampled_from(sorted(changes)))
def test_a_changed_coefficient_never_gives_a_wrong_bound(dim, index, change):
    values = list(three_point(dim).coefficients)
    values[index] = changes[change](values[index], max(values))
    assume(values[-1] != 0)
    judge(replace(three_point(dim), coefficients=tuple(values)))


@settings(max_examples=60, deadline=None)
@given(
    dims,
    st.sampled_from(["inner_radius", "outer_radius"]),
    st.fractions(min_value=Fraction(3, 5), max_value=Fraction(8, 5), max_denominator=10**6),
)
def test_a_shifted_radius_never_gives_a_wrong_bound(dim, radius, factor):
    base = three_point(dim)
    judge(replace(base, **{radius: getattr(base, radius) * rational(factor)}))


@settings(max_examples=30, deadline=None)
@given(dims, st.integers(3, 24))
def test_another_dimension_never_gives_a_wrong_bound(dim, other):
    judge(replace(three_point(dim), dim=other))


@pytest.mark.parametrize("dim", DIMS)
def test_named_conditions(dim):
    base = three_point(dim)
    start = base.kernel[0][0][0]

    def scaled(factor, block=None):
        kernel = tuple(
            tuple(tuple(x * (factor if block in (None, k) else 1) for x in row) for row in rows)
            for k, rows in enumerate(base.kernel)
        )
        return judge(replace(base, kernel=kernel))

    # The bound lowered through f3(0, 0): the origin has to pay for f3(x, 0) < 0.
    assert judge(with_entry(base, 0, 0, 0, start // 10)) == "kernel_semidefinite"
    assert judge(with_entry(base, 0, 0, 0, 0)) == "kernel_semidefinite"
    assert scaled(-1) == "kernel_semidefinite"
    # A kernel too large for the margins of f2 on the shell.
    assert scaled(10**6) == "pairs_nonpositive"
    # No kernel: not strictly negative.
    assert scaled(0) == "triangles_nonpositive"
    # Only a constant kernel: positive on triangles. (Blocks 1 to 4 balance each other.)
    assert scaled(0, 2) == "triangles_nonpositive"
    assert scaled(0, 1) == "far_pairs_nonpositive"
    assert judge(replace(base, coefficients=tuple(-c for c in base.coefficients))) == (
        "transform_at_zero"
    )
    assert judge(replace(base, outer_radius=base.inner_radius * fmpq(7, 10))) == (
        "function_at_radius"
    )


GOOD = encoded(three_point(4))
KERNEL = json.loads(GOOD)["kernel"]
LONG = "9" * (certificates.MAX_KERNEL_DIGITS + 1)


def kernel_with(text: object) -> list[object]:
    return [*KERNEL[:-1], [[text]]]


MALFORMED = {
    "kernel": [
        None, {}, [], "1", KERNEL[:-1], [*KERNEL, [["1"]]], KERNEL[::-1], [[]] * 5, [None] * 5,
        [KERNEL[0][1:], *KERNEL[1:]], [*KERNEL[:-1], []], [*KERNEL[:-1], [["1"], ["1", "1"]]],
        [*KERNEL[:-1], [["1", "1"]]], [*KERNEL[:-1], ["1"]],
        *map(kernel_with, ["1.5", "1/2", "01", "-0", "+1", " 1", "1 ", "", "NaN", "1e3", "0x1"]),
        *map(kernel_with, [1, None, True, ["1"], "1_0", "١", LONG, "9" * 100_000]),
    ],
    "kernel_degree": [None, "4", 0, -4, 25, True, [4]],
    "inner_radius": [None, 3, "3", "2/4", "0/1", "-3/1", "3/0", "nan/1", "3/1/1", "7" * 13 + "/1"],
    "outer_radius": [
        None, 4, "2/4", "1/" + "7" * 13, "3033/1000", "3033/500", "3033/499", "1/1", "10/1",
    ],
    "dim": [None, "4", 2, 25, True, -4],
    "degree": [None, "15", 0, 404, True],
    "coefficients": [None, [], ["1"], ["1"] * 15 + ["0"], ["1"] * 17, ["NaN"] * 16],
    "kind": [None, "two_points", 3],
    "schema_version": [None, 2, "1", True],
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in MALFORMED.items() for value in values],
    ids=lambda x: repr(x)[:20],
)  # fmt: skip
def test_malformed_fields_are_rejected_by_name(key, value):
    with pytest.raises(certificates.Rejected) as caught:
        certificates.parse(encoded(three_point(4), **{key: value}))
    assert caught.value.condition == key
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("key", sorted(json.loads(GOOD)))
def test_a_missing_or_foreign_key_is_rejected(key):
    fields = json.loads(GOOD)
    for changed in ({k: v for k, v in fields.items() if k != key}, fields | {"radius": "1/1"}):
        with pytest.raises(certificates.Rejected) as caught:
            certificates.parse(json.dumps(changed).encode())
        assert caught.value.condition == "keys"


def test_the_largest_numbers_allowed_end_in_a_verdict():
    degree = 10
    digits = int("9" * certificates.MAX_KERNEL_DIGITS)
    sizes = [degree + 2, *range(degree, 0, -1)]
    kernel = tuple(
        tuple(tuple(fmpz(digits * (i == j)) for j in range(i + 1)) for i in range(size))
        for size in sizes
    )
    inner = fmpq(10**11 + 7, 10**11 + 9)
    function = tuple(c * 10**190 for c in three_point(4).coefficients)
    large = certificates.ThreePoint(4, inner * 3, inner * 5, function, kernel)
    assert judge(large) in OBLIGATIONS


def test_a_killed_verifier_goes_on_in_several_processes(tmp_path):
    # A narrow margin makes many boxes: the state is there long before the end.
    good, state = tmp_path / "good.json", tmp_path / "state.json"
    good.write_bytes(GOOD)
    expected = verify.verdict(good)
    script = (
        "import sys, time; from pathlib import Path;"
        "from pipeline.certify import bernstein, verify; prove = bernstein.prove;"
        "bernstein.prove = lambda *a: (time.sleep(0.05), prove(*a))[1];"
        "verify.verdict(Path(sys.argv[1]), 1, Path(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", script, good, state])
    while not state.exists():
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = len(json.loads(state.read_text())["triangles_nonpositive"])
    found = verify.verdict(good, jobs=2, state=state)
    assert (expected["parts_from_state"], found["parts_from_state"]) == (0, kept)
    for verdict in (found, expected):
        del verdict["seconds"], verdict["parts_from_state"]
    assert found == expected
    assert not state.exists()


def test_command_line(tmp_path, capsys):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_bytes(GOOD)
    base = three_point(4)
    bad.write_bytes(encoded(with_entry(base, 0, 0, 0, 0)))
    assert main([str(good), "--jobs", "2", "--state", str(tmp_path / "state.json")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[1].rstrip(":") for line in printed if line.startswith("holds")] == [
        *OBLIGATIONS
    ]
    assert Fraction(printed[-1]) >= examples.densest(4)
    assert [path.name for path in tmp_path.iterdir() if "state" in path.name] == []
    assert main([str(bad)]) == 1
    assert "REJECTED  kernel_semidefinite: block 0" in capsys.readouterr().out
    with pytest.raises(SystemExit) as usage:
        main([str(good), "--jobs", "0"])
    assert usage.value.code == 2
