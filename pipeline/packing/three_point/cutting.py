"""The three-point problem by cutting planes: sampled conditions, and more where they are violated.

The conditions on f_2 and f_3 (docs/three_point.md) hold on two intervals, a ray and two
three-dimensional domains. They are imposed on samples; the conic problem is solved; the local
maxima of every condition are found on fine grids and refined; the positive ones join the samples;
and again until none is left. Both three-dimensional domains are images of the unit cube, so that
their curved boundaries are faces:

    triangles  u = |x|^2, v = |y|^2 and t = |x - y|^2, each from inner^2 to outer^2;
    far        u = rho^2, v = sigma^2, rho and sigma from inner to outer, and
               t = outer^2 + theta ((rho + sigma)^2 - outer^2), theta from 0 to 1: |x - y| >= outer.

Heuristic: only `pipeline.certify` proves that nothing was missed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from pipeline.errors import SolverError
from pipeline.packing.conic import arb as conic_arb
from pipeline.packing.conic import doubles as conic
from pipeline.packing.three_point import maxima
from pipeline.packing.three_point.kernel import Kernel
from pipeline.packing.three_point.radial import RadialBasis

# (N,), or (N, 3) in the unit cube.
Points = np.ndarray
Cube = np.ndarray
Blocks = list[np.ndarray]
# Points of each condition, by its name.
Samples = dict[str, Points]

RADIAL = ("transform", "beyond", "diagonal")
SPATIAL = ("triangles", "far")

_MAX_ROUNDS = 40
# Rounds before a kernel that stays zero, as it does at low degrees, counts as one.
_PATIENCE = 5
# Maxima that use up this share of a margin are cut off; none may use up more than the second.
_CUT, _ACCEPTED = 0.25, 0.5
# Samples between two knots of the radial basis, and in an edge of the cube for a degree of one.
_FINE_RADIAL, _FINE_DIAGONAL, _FINE_EDGE = 8, 3000, 3
# Cells in an edge of the cube for a degree of one: each gives one cut, or a few.
_CELLS = 1.2
# The size of f_3, relative to its scale, below which it counts as zero.
_SMALLEST = 1e-3


@dataclass(frozen=True)
class Margins:
    """How far below zero conditions are kept, relative to the size of f_2 there and of f_3."""

    radial: float = 1e-8
    kernel: float = 1e-7


@dataclass(frozen=True)
class Precision:
    """The relative duality gap of conic problems, and the bits to reach it with; 53 are doubles.

    A central solution violates less between the samples than a sharp one, and its value is closer
    to the optimum than its gap says (by a factor of about ten), as the dual side lags behind.
    """

    bits: int = 53
    gap: float = 3e-5

    def solve(self, problem: conic.Problem) -> conic.Solution:
        """Return a solution, as doubles.

        Raises:
            SolverError: there is none, or more than 53 bits do not reach the gap.
        """
        if self.bits == 53:
            return conic.solve(problem, self.gap)
        found = conic_arb.solve(problem, self.gap, self.bits).rounded()
        if not (found.gap <= self.gap and found.dual_residual <= self.gap):
            raise SolverError(
                f"conic solver with {self.bits} bits: expected gap and dual residual below"
                f" {self.gap:.0e}, got {found.gap:.0e} and {found.dual_residual:.0e};"
                " raise conic_bits"
            )
        return found


@dataclass(frozen=True)
class Cuts:
    """Where an optimisation stands: enough to go on with the same numbers.

    `sizes` are the largest |f_3| met in the spatial conditions; `report` says what the last round
    found.
    """

    samples: Samples
    sizes: dict[str, float]
    rounds: int = 0
    iterations: int = 0
    report: str = ""


@dataclass(frozen=True)
class Optimum:
    """f_2 and f_3 that meet all conditions with the margins, as far as grids can tell.

    `radial` are the coordinates of f_2, `blocks` the F_l, `value` = (f_2(0) + f_3(0, 0)) / f_2^(0)
    with the relative duality gap `gap`.
    """

    radial: np.ndarray
    blocks: Blocks
    value: float
    gap: float
    cuts: Cuts


@dataclass(frozen=True)
class ThreePointProblem:
    """f_2 in the coordinates `radial`, f_3 in those of `kernel`, and the margins to keep."""

    radial: RadialBasis
    kernel: Kernel
    margins: Margins = Margins()
    precision: Precision = Precision()

    def optimise(
        self, start: Cuts | None = None, reached: Callable[[Cuts], None] | None = None
    ) -> Optimum:
        """Return the optimum to `precision`, in doubles. Deterministic.

        `reached` is called after each round but the last; from what it was given a later call can
        `start`, to end with the same numbers.

        Raises:
            SolverError: violations are left after the last round, f_3 stays zero, or
                `Precision.solve` fails.
        """
        # The size of f_3 is unknown before the first round, which keeps no margin therefore.
        cuts = start or Cuts(self.first_samples(), dict.fromkeys(SPATIAL, 0.0))
        while cuts.rounds < _MAX_ROUNDS:
            found = self.precision.solve(self._problem(cuts.samples, cuts.sizes))
            split = self.radial.degree + 1
            blocks = self.kernel.blocks(found.point[split:])
            sizes = {name: self._size(name, blocks) for name in SPATIAL}
            new, worst = self._violations(found.point, blocks, sizes)
            old = cuts.samples
            cuts = Cuts(
                {name: np.concatenate([old[name], new[name]]) for name in old},
                sizes,
                cuts.rounds + 1,
                cuts.iterations + found.iterations,
                f"round {cuts.rounds + 1}: {_count(old)} conditions, {found.iterations} iterations,"
                f" value {found.value:.12g}, gap {found.gap:.0e}, worst violation {worst:.0e},"
                f" {_count(new)} cuts",
            )
            if worst <= 0:
                return Optimum(found.point[:split], blocks, found.value, found.gap, cuts)
            if reached:
                reached(cuts)
            if cuts.rounds >= _PATIENCE and not any(sizes.values()):
                raise self._error(
                    "expected a kernel that lowers the bound, got 0; raise its degree"
                )
        raise self._error(
            f"expected no violation after {_MAX_ROUNDS} rounds, got {cuts.report}; change the radii"
            " or the degrees"
        )

    def missed(self, optimum: Optimum, name: str, point: dict[str, float]) -> Cuts:
        """Return the cuts of `optimum` and, for `name`, a violation that its grids have missed.

        `point` are u, v, t of "triangles", or rho, sigma, theta of "far"; the local maximum next to
        it is cut off, too.
        """
        inner, outer = self.kernel.inner, self.kernel.outer
        low, high = (inner, outer) if name == "far" else (inner**2, outer**2)
        at = np.array([list(point.values())])
        within = 2 if name == "far" else 3
        # Back to the unit cube; theta lies there already.
        at[:, :within] = (at[:, :within] - low) / (high - low)
        values = partial(self._values, name, optimum.blocks)
        top = maxima.climbed(values, at, 1 / len(self._fine_edge))
        cuts = optimum.cuts
        samples = cuts.samples | {name: np.concatenate([cuts.samples[name], at, top])}
        where = ", ".join(f"{variable} = {value:.6g}" for variable, value in point.items())
        report = f"round {cuts.rounds}: the verifier found {name} violated at {where}"
        return replace(cuts, samples=samples, report=report)

    def first_samples(self) -> Samples:
        """Return the samples of the first round."""
        fine, edge = self.radial.grid(2), _lobatto(self.kernel.degree + 4)
        low, high = self.kernel.inner**2, self.kernel.outer**2
        cube = maxima.tensor(edge)
        return {
            "transform": fine,
            "beyond": np.concatenate([[high], fine[fine > high]]),
            "diagonal": low + (high - low) * _lobatto(4 * self.kernel.degree + 40),
            **{name: cube[_fundamental(name, cube)] for name in SPATIAL},
        }

    def rows(self, name: str, points: Points) -> np.ndarray:
        """Return the condition `name` at `points` as linear forms <= 0 in all unknowns."""
        split = self.radial.degree + 1
        rows = np.zeros((len(points), split + self.kernel.num_unknowns))
        if name in SPATIAL:
            for u, v, w in self.arguments(name, points):
                rows[:, split:] += self.kernel.rows(u, v, w)
            return rows
        if name == "transform":
            rows[:, :split] = -self.radial.transform_rows(points)
            return rows
        rows[:, :split] = self.radial.function_rows(points)
        if name == "diagonal":
            # f_2 carries exp(-z/2) and f_3 does not: P + exp(z/2) q <= 0, over the size of P.
            weight = np.exp(points / 2) / self.radial.function_size(points)
            kernel = self.kernel.rows(points, points, points)
            kernel += 2 * self.kernel.origin_rows(points)
            rows[:, split:] = weight[:, None] * kernel
        return rows

    def arguments(self, name: str, cube: Cube) -> list[tuple[Points, Points, Points]]:
        """Return the (|x|^2, |y|^2, <x, y>) at which f_3 is summed, for points of the unit cube."""
        inner, outer = self.kernel.inner, self.kernel.outer
        if name == "triangles":
            u, v, t = (inner**2 + (outer**2 - inner**2) * cube).T
            return [(u, v, (u + v - t) / 2), (u, t, (u + t - v) / 2), (v, t, (v + t - u) / 2)]
        rho, sigma = (inner + (outer - inner) * cube[:, :2]).T
        t = outer**2 + cube[:, 2] * ((rho + sigma) ** 2 - outer**2)
        return [(rho**2, sigma**2, (rho**2 + sigma**2 - t) / 2)]

    def objective(self) -> tuple[np.ndarray, np.ndarray]:
        """Return f_2(0) + f_3(0, 0) and f_2^(0) as linear forms in all unknowns."""
        split = self.radial.degree + 1
        value = np.zeros(split + self.kernel.num_unknowns)
        transform = np.zeros_like(value)
        value[:split], transform[:split] = self.radial.at_zero()
        value[split] = self.kernel.origin_scale**2
        return value, transform

    def _problem(self, samples: Samples, sizes: dict[str, float]) -> conic.Problem:
        rows = [self.rows(name, points) for name, points in samples.items()]
        limits = [
            np.full(len(points), -self._margin(name, sizes)) for name, points in samples.items()
        ]
        # The bound is a quotient; with f_2^(0) = 1 as the equality it is linear.
        value, transform = self.objective()
        return conic.Problem(
            value,
            transform,
            np.concatenate(rows),
            np.concatenate(limits),
            self.radial.degree + 1,
            self.kernel.sizes,
        )

    def _margin(self, name: str, sizes: dict[str, float]) -> float:
        return self.margins.kernel * sizes[name] if name in SPATIAL else self.margins.radial

    def _violations(
        self, point: np.ndarray, blocks: Blocks, sizes: dict[str, float]
    ) -> tuple[Samples, float]:
        """Return the maxima to cut off, and by how much the worst exceeds what is accepted."""
        cuts: Samples = {}
        worst = -np.inf
        for name in (*RADIAL, *SPATIAL):
            margin = self._margin(name, sizes)
            if name in SPATIAL:
                at, values = self._spatial_maxima(name, blocks)
                size = sizes[name] or 1.0
            else:
                grid, rows = self._fine_rows[name]
                value = partial(self._value, name, point)
                at = maxima.on_line(value, grid, rows @ point)
                values, size = value(at), 1.0
            # Also those that use up a part of the margin: the next round might use up the rest.
            cuts[name] = at[values > -(1 - _CUT) * margin]
            if len(values):
                worst = max(worst, (values.max() + (1 - _ACCEPTED) * margin) / size)
        return cuts, float(worst)

    def _spatial_maxima(self, name: str, blocks: Blocks) -> tuple[Points, np.ndarray]:
        edge = self._fine_edge
        return maxima.in_cube(
            lambda cube: self._values(name, blocks, cube),
            edge,
            _fundamental(name, maxima.tensor(edge)),
            1 / (_CELLS * self.kernel.degree),
        )

    def _value(self, name: str, point: np.ndarray, at: Points) -> np.ndarray:
        return np.asarray(self.rows(name, at) @ point) if len(at) else np.zeros(0)

    def _values(self, name: str, blocks: Blocks, cube: Cube) -> Points:
        total = np.zeros(len(cube))
        for u, v, w in self.arguments(name, cube):
            total += self.kernel.values(blocks, u, v, w)
        return total

    def _size(self, name: str, blocks: Blocks) -> float:
        found = float(np.abs(self._values(name, blocks, maxima.tensor(self._fine_edge))).max())
        # At low degrees no kernel but 0 meets the conditions: it cannot keep a margin either.
        return found if found > _SMALLEST * self.kernel.shell_scale**2 else 0.0

    def _error(self, what: str) -> SolverError:
        n, d = self.kernel.dim, self.kernel.degree
        return SolverError(f"three-point bound, dimension {n}, kernel degree {d}: {what}")

    @property
    def _fine_edge(self) -> np.ndarray:
        return _lobatto(_FINE_EDGE * self.kernel.degree + 6)

    @cached_property
    def _fine_rows(self) -> dict[str, tuple[Points, np.ndarray]]:
        """Return fine grids of the radial conditions and their rows there."""
        z, low, high = self.radial.grid(_FINE_RADIAL), self.kernel.inner**2, self.kernel.outer**2
        grids = {
            "transform": z,
            "beyond": np.concatenate([[high], z[z > high]]),
            "diagonal": np.linspace(low, high, _FINE_DIAGONAL),
        }
        return {name: (grid, self.rows(name, grid)) for name, grid in grids.items()}


def _count(samples: Samples) -> int:
    return sum(map(len, samples.values()))


def _lobatto(count: int) -> np.ndarray:
    """Return Chebyshev-Lobatto points of [0, 1], both ends included."""
    points: np.ndarray = (1 - np.cos(np.pi * np.arange(count) / (count - 1))) / 2
    return points


def _fundamental(name: str, cube: Cube) -> np.ndarray:
    """Return which points stand for their images under the symmetries of the condition."""
    ordered = cube[:, 0] <= cube[:, 1]
    return ordered & (cube[:, 1] <= cube[:, 2]) if name == "triangles" else ordered
