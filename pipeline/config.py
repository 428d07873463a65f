"""The experiment file as frozen, validated models: the only reader of YAML in the project.

Every Snakemake job parses the Snakefile and so imports this module: it depends on pydantic and
PyYAML and nothing heavier.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pipeline.errors import ConfigError

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_\-]*"
# A file system takes 255 bytes; ours add at most `.zarr.partial.lock` and a temporary suffix.
MAX_NAME_LENGTH = 100
Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", max_length=MAX_NAME_LENGTH)]
# Its own and not the experiment's, so that experiments of different seeds share a data set.
DataSeed = Annotated[
    NonNegativeInt,
    Field(description="seed of the random inputs; the experiment's seed does not touch them"),
]


class Frozen(BaseModel):
    """An immutable model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# --- datasets -----------------------------------------------------------------------------------


class Burgers(Frozen):
    """u_t + u u_x = viscosity u_xx on the periodic unit interval, from a Gaussian random field."""

    num_axes: ClassVar[int] = 1
    periodic: ClassVar[bool] = True
    # Spectral data are far below it, or far above where a shock is not resolved.
    default_tolerance: ClassVar[float] = 1.0e-4

    kind: Literal["burgers"]
    viscosity: PositiveFloat
    final_time: PositiveFloat = 1.0
    time_step: PositiveFloat = 2.0e-3


class Darcy(Frozen):
    """-div(a grad u) = 1 on the unit square, u = 0 on its boundary, two-valued random a."""

    num_axes: ClassVar[int] = 2
    periodic: ClassVar[bool] = False
    # First order where the coefficient jumps: a few per cent on 64 x 64 points.
    default_tolerance: ClassVar[float] = 0.1

    kind: Literal["darcy"]
    low: PositiveFloat = 3.0
    high: PositiveFloat = 12.0
    smoothness: PositiveFloat = 2.0
    inverse_length: PositiveFloat = 3.0
    tolerance: PositiveFloat = 1.0e-10


class TaylorGreen(Frozen):
    """u = (sin x cos y cos z, -cos x sin y cos z, 0); Reynolds number 1/viscosity."""

    kind: Literal["taylor_green"]


class DecayingTurbulence(Frozen):
    """A random solenoidal field, E(k) ∝ k⁴ exp(-2 (k/peak_wavenumber)²), drawn from the seed."""

    kind: Literal["decaying_turbulence"]
    energy: PositiveFloat = 0.5
    peak_wavenumber: PositiveFloat = 3.0


class NavierStokes(Frozen):
    """Incompressible flow in the periodic cube of side 2π from `initial` to `final_time`."""

    # Of the whole velocity field; the averages of a flow are far more accurate.
    default_tolerance: ClassVar[float] = 0.2

    kind: Literal["navier_stokes"]
    viscosity: PositiveFloat
    initial: Annotated[TaylorGreen | DecayingTurbulence, Field(discriminator="kind")]
    final_time: PositiveFloat
    time_step: PositiveFloat = 0.02


Tolerance = Annotated[
    PositiveFloat | None,
    Field(
        description=(
            "Largest estimated error of a sample or snapshot, in space and in time, relative in"
            " the L2 norm; data that miss it are refused. It changes no stored number. Default:"
            " 1e-4 for burgers, 0.1 for darcy (a jumping coefficient: first order in the spacing),"
            " 0.2 for navier_stokes (the velocity field, by a pessimistic estimate)."
        )
    ),
]
DataProblem = Annotated[Burgers | Darcy, Field(discriminator="kind")]


class Dataset(Frozen):
    """A store of input and target fields; the last `num_test` samples are held out."""

    problem: DataProblem
    grid: tuple[Annotated[int, Field(ge=8)], ...]
    num_samples: PositiveInt
    num_test: PositiveInt
    samples_per_shard: PositiveInt = 100
    seed: DataSeed = 0
    dtype: Literal["float32", "float64"] = "float32"
    tolerance: Tolerance = None

    @property
    def largest_error(self) -> float:
        """Return the tolerance, or that of the problem's kind if none is given."""
        return self.tolerance or self.problem.default_tolerance

    @model_validator(mode="after")
    def _consistent(self) -> "Dataset":
        axes = self.problem.num_axes
        if len(self.grid) != axes:
            raise ValueError(f"grid: {self.problem.kind} needs {axes} axes, got {len(self.grid)}")
        for key in ("num_samples", "num_test"):
            if getattr(self, key) % self.samples_per_shard:
                raise ValueError(
                    f"{key}: expected a multiple of samples_per_shard={self.samples_per_shard}"
                    f" (shards are written and read whole), got {getattr(self, key)}"
                )
        if self.num_test >= self.num_samples:
            raise ValueError(
                f"num_test: expected less than num_samples={self.num_samples}, got {self.num_test}"
            )
        return self


class Trajectory(Frozen):
    """A store of one flow: `num_snapshots` velocity fields after the initial one, by MPI ranks.

    Each of the `ranks` owns a slab of grid / ranks planes (SLURM takes MPI jobs of 2 or more).
    """

    problem: NavierStokes
    grid: tuple[Annotated[int, Field(ge=8)], ...]
    num_snapshots: PositiveInt
    ranks: PositiveInt = 2
    seed: DataSeed = 0
    dtype: Literal["float32", "float64"] = "float32"
    tolerance: Tolerance = None

    @property
    def largest_error(self) -> float:
        """Return the tolerance, or that of flows if none is given."""
        return self.tolerance or self.problem.default_tolerance

    @model_validator(mode="after")
    def _consistent(self) -> "Trajectory":
        points = self.grid[0] if self.grid else 0
        if self.grid != (points,) * 3 or points % 2:
            raise ValueError(f"grid: expected three equal even numbers, got {list(self.grid)}")
        if points % self.ranks:
            raise ValueError(
                f"ranks: expected a divisor of the {points} points of an axis (each rank owns"
                f" a slab), got {self.ranks}"
            )
        return self


def _dataset_tag(value: Any) -> str:
    problem = value.get("problem") if isinstance(value, Mapping) else getattr(value, "problem", {})
    kind = problem.get("kind") if isinstance(problem, Mapping) else getattr(problem, "kind", "")
    return "trajectory" if kind == "navier_stokes" else "samples"


AnyDataset = Annotated[
    Annotated[Dataset, Tag("samples")] | Annotated[Trajectory, Tag("trajectory")],
    Discriminator(_dataset_tag),
]


# --- runs ---------------------------------------------------------------------------------------


class InSpace(Frozen):
    """A problem in `dim` axes of space."""

    dim: PositiveInt

    @property
    def num_inputs(self) -> int:
        """Return the number of coordinates of a point."""
        return self.dim


class InTime(InSpace):
    """A problem in `dim` axes of space and in time."""

    @property
    def num_inputs(self) -> int:
        """Return the number of coordinates of a point."""
        return self.dim + 1


class Inseparable(InSpace):
    """What the inseparable solutions on the unit ball (Hu et al., arXiv:2307.12306) share.

    Collocation points lie at radius U^radius_exponent, U uniform on (0, 1); 1 as published.
    """

    bodies: ClassVar[int]

    equation: Literal["poisson", "allen_cahn", "sine_gordon"] = "sine_gordon"
    coefficient_seed: NonNegativeInt = 0
    zero_sum: bool = True
    radius_exponent: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _enough_axes(self) -> "Inseparable":
        # One centred coefficient is zero, and so is u.
        least = self.bodies + self.zero_sum
        if self.dim < least:
            raise ValueError(
                f"dim: expected at least {least} with zero_sum={self.zero_sum}, got {self.dim}"
            )
        return self


class TwoBody(Inseparable):
    """Inseparable two-body solution on the unit ball."""

    bodies: ClassVar[int] = 2

    kind: Literal["two_body"]


class ThreeBody(Inseparable):
    """Inseparable three-body solution on the unit ball."""

    bodies: ClassVar[int] = 3

    kind: Literal["three_body"]


class Parabolic(InTime):
    """Semilinear heat equation with a published value at (0.3, 0), known in four dimensions."""

    kind: Literal["parabolic"]
    dim: Literal[10, 100, 1000, 10_000]
    equation: Literal["heat", "allen_cahn", "sine_gordon"]


class HJB(InTime):
    """Hamilton–Jacobi–Bellman equation backward from t = 1; `mu` is for lqg and rosenbrock.

    Training points are standard `normal` in space, as published, or lie on the `paths` of √2 W that
    start at such points: on those the values there depend.
    """

    kind: Literal["hjb"]
    equation: Literal["lqg", "rosenbrock", "lin"] = "lqg"
    mu: PositiveFloat = 1.0
    points: Literal["normal", "paths"] = "normal"
    coefficient_seed: NonNegativeInt = 0
    reference_samples: Annotated[int, Field(ge=2)] = 4096
    reference_seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _has_neighbours(self) -> "HJB":
        if self.equation == "rosenbrock" and self.dim < 2:
            raise ValueError(f"dim: expected at least 2 for rosenbrock, got {self.dim}")
        return self


class BlackScholesBarenblatt(InTime):
    """Black–Scholes–Barenblatt equation backward from |x|² at t = 1, of correlated assets."""

    kind: Literal["black_scholes_barenblatt"]
    correlation: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


class FokkerPlanck(InTime):
    """Log-density of an anisotropic Ornstein–Uhlenbeck process up to t = 1."""

    kind: Literal["fokker_planck"]
    coefficient_seed: NonNegativeInt = 0


class Schroedinger(InSpace):
    """Ground state of an anisotropic harmonic oscillator, in log form, on a ball."""

    kind: Literal["schroedinger"]
    coefficient_seed: NonNegativeInt = 0


PinnProblem = Annotated[
    TwoBody | ThreeBody | Parabolic | HJB | BlackScholesBarenblatt | FokkerPlanck | Schroedinger,
    Field(discriminator="kind"),
]


class MLP(Frozen):
    """Fully connected tanh network: `depth` linear layers, `width` hidden units.

    `skip` adds a polynomial of the coordinates to it, of degree 1 or 2.
    """

    kind: Literal["mlp"]
    width: PositiveInt = 128
    depth: Annotated[int, Field(ge=2)] = 4
    skip: Literal["none", "linear", "quadratic"] = "none"


class FNO(Frozen):
    """Fourier neural operator (Li et al., arXiv:2010.08895): `modes` frequencies per axis."""

    kind: Literal["fno"]
    modes: tuple[PositiveInt, ...]
    width: PositiveInt = 64
    depth: PositiveInt = 4


class SDGD(Frozen):
    """Sample `sampled_axes` coordinates of the Laplacian a step, without replacement."""

    kind: Literal["sdgd"]
    sampled_axes: PositiveInt = 16


class Full(Frozen):
    """The naive baseline: every coordinate of the Laplacian, `chunk` at a time."""

    kind: Literal["full"]
    chunk: PositiveInt = 50


class DoubleBackward(Frozen):
    """The axes of SDGD by reverse over reverse mode, axis by axis, as one writes it in PyTorch."""

    kind: Literal["double_backward"]
    sampled_axes: PositiveInt = 16


class Jet(Frozen):
    """The axes of SDGD by nested forward mode, for any network."""

    kind: Literal["jet"]
    sampled_axes: PositiveInt = 16


class Taylor(Frozen):
    """STDE's sparse directions: basis vectors drawn without replacement, as SDGD draws them."""

    kind: Literal["taylor"]
    num_directions: PositiveInt = 16


class Hutchinson(Frozen):
    """Hutchinson: `num_directions` random directions in all of space a step."""

    kind: Literal["hutchinson"]
    num_directions: PositiveInt = 16
    distribution: Literal["rademacher", "gaussian"] = "rademacher"


class ExactGram(Frozen):
    """All coordinates, exactly, in as many directions as the network is wide."""

    kind: Literal["exact_gram"]


class Auto(Frozen):
    """exact_gram where it applies and a step is at most `max_slowdown` times slower, else sdgd."""

    kind: Literal["auto"]
    sampled_axes: PositiveInt = 16
    max_slowdown: PositiveFloat = 8.0


AnyEstimator = SDGD | Full | DoubleBackward | Jet | Taylor | Hutchinson | ExactGram | Auto
Estimator = Annotated[AnyEstimator, Field(discriminator="kind")]


def _check_workers(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    # One message, where a union would complain once a member.
    refusal = PydanticCustomError("workers", "expected a number of workers or [fewest, most]")
    try:
        found = handler(value)
    except ValidationError:
        raise refusal from None
    if isinstance(found, tuple) and found[0] > found[1]:
        raise refusal
    return found


Workers = Annotated[PositiveInt | tuple[PositiveInt, PositiveInt], WrapValidator(_check_workers)]


class TrainSettings(Frozen):
    """What every training run needs.

    `batch_size` is what a step takes over all workers. The workers divide it, so their number
    changes the time of a step and, but for rounding, none of its numbers. `num_workers` is fixed,
    or [fewest, most]: as many as the cluster has room for, anew whenever nodes come or go.
    """

    learning_rate: PositiveFloat = 1.0e-3
    batch_size: PositiveInt = 20
    num_workers: Workers = 2
    checkpoint_every: PositiveInt = 200
    evaluate_every: PositiveInt = 200
    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    def min_workers(self) -> int:
        """Return the number of workers without which training waits."""
        return self.num_workers[0] if isinstance(self.num_workers, tuple) else self.num_workers

    @property
    def max_workers(self) -> int:
        """Return the number of workers for which there is work."""
        return self.num_workers[1] if isinstance(self.num_workers, tuple) else self.num_workers

    @model_validator(mode="after")
    def _a_sample_each(self) -> "TrainSettings":
        if self.batch_size < self.max_workers:
            raise ValueError(
                f"batch_size: expected at least {self.max_workers}, one for each of the"
                f" num_workers, got {self.batch_size}"
            )
        return self


class Adam(Frozen):
    """Adam; the learning rate falls to zero by half a cosine, or linearly.

    The first layer of the network learns at `first_layer_rate` times that rate.
    """

    kind: Literal["adam"]
    decay: Literal["cosine", "linear"] = "cosine"
    first_layer_rate: PositiveFloat = 1.0


class Kaczmarz(Frozen):
    """Natural-gradient steps in sample space for the polynomial `skip`, then Adam for the network.

    The network is zero until the fraction `network_after` of the steps is done. `damping` is
    relative to the mean of the diagonal of the Gram matrix. Coefficients of degree 2 move
    `quadratic_weight` times as far as those of degree 1; None is the root of their number.
    """

    kind: Literal["kaczmarz"]
    network_after: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    damping: PositiveFloat = 1.0e-4
    quadratic_weight: PositiveFloat | None = None


Optimizer = Annotated[Adam | Kaczmarz, Field(discriminator="kind")]


class EarlyStopping(Frozen):
    """End training when the residual on held-out points has stopped falling; keep the best model.

    The root mean square of the scaled residual over `num_points` points of the training law that
    no step uses is estimated every `evaluate_every` steps. Training ends after `patience` of these
    evaluations, all after step `min_steps`, in which it has not fallen by more than `min_delta`
    (relative) and by more than the standard error of the difference. An estimator that samples
    takes `index_sets` independent index sets a point.
    """

    patience: PositiveInt
    min_delta: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.01
    min_steps: NonNegativeInt = 0
    num_points: Annotated[int, Field(ge=16)] = 1024
    index_sets: Annotated[int, Field(ge=2)] = 4


class PinnTraining(TrainSettings):
    """Fresh collocation points at each step; `batch_size` of them over all workers.

    `loss` is the square of the estimated residual, or the product 2 stopgrad(R_J) R_K of two
    independent estimates, whose mean is the square of the exact one. `index_sets` independent
    estimates are averaged: the squares of all, or R_J. Workers `shard` the points of a step, or the
    axes: then each holds its coordinates of all points and its columns of the first layer only.
    With `compile` torch makes one program of a step's residual and its gradient (some seconds at
    the start, and a C++ compiler where there is no GPU): the same numbers up to rounding, sooner.
    """

    num_steps: PositiveInt
    batch_size: PositiveInt = 100
    num_test_points: PositiveInt = 20_000
    loss: Literal["squared", "unbiased"] = "squared"
    index_sets: PositiveInt = 1
    optimizer: Optimizer = Adam(kind="adam")
    shard: Literal["points", "axes"] = "points"
    early_stopping: EarlyStopping | None = None
    compile: bool = False


class OperatorTraining(TrainSettings):
    """Adam on stored samples; `batch_size` samples a step over all workers."""

    num_epochs: PositiveInt
    weight_decay: NonNegativeFloat = 1.0e-4
    grid_stride: PositiveInt = 1


class PinnRun(Frozen):
    """A physics-informed network trained on the residual alone."""

    problem: PinnProblem
    model: MLP
    estimator: Estimator
    train: PinnTraining
    initial_checkpoint: Path | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "PinnRun":
        # Directions of taylor are axes without replacement; hutchinson's may be any number.
        key = "num_directions" if self.estimator.kind == "taylor" else "sampled_axes"
        sampled = getattr(self.estimator, key, 0)
        if sampled > self.problem.dim and not isinstance(self.estimator, Auto):
            raise ValueError(
                f"estimator.{key}: expected at most problem.dim={self.problem.dim}, got {sampled}"
            )
        problem = self.problem
        is_mixed = isinstance(problem, BlackScholesBarenblatt) and problem.correlation > 0
        if is_mixed and self.model.skip != "none":
            raise ValueError(
                "model.skip: expected none with problem.correlation, whose mixed derivatives the"
                f" polynomial has not in closed form, got {self.model.skip}"
            )
        if self.train.optimizer.kind == "kaczmarz":
            self._steps_of_a_polynomial()
        if self.train.shard == "axes":
            self._axes_are_divided()
        if self.train.compile:
            self._can_be_compiled()
        return self

    def _can_be_compiled(self) -> None:
        """Raise unless torch makes one program of a step."""
        if self.train.shard == "axes":
            raise ValueError(
                "train.compile: expected false with train.shard=axes, whose processes speak within"
                " a step, got true"
            )
        if self.estimator.kind in ("jet", "full", "double_backward"):
            raise ValueError(
                "estimator.kind: expected one that differentiates layer by layer with train.compile"
                f" (all but jet, full, double_backward), got {self.estimator.kind}"
            )

    def _axes_are_divided(self) -> None:
        """Raise unless the axes of the run can be divided over workers."""
        problem, estimator = self.problem, self.estimator.kind
        if not isinstance(problem, Inseparable):
            raise ValueError(
                "train.shard: expected points for a problem other than two_body and three_body,"
                f" got axes with {problem.kind}"
            )
        if estimator not in ("sdgd", "taylor", "exact_gram"):
            raise ValueError(
                "estimator.kind: expected sdgd, taylor or exact_gram with train.shard=axes,"
                f" got {estimator}"
            )
        if self.model.skip != "none":
            raise ValueError(
                f"model.skip: expected none with train.shard=axes, got {self.model.skip}"
            )
        if problem.dim < self.train.max_workers:
            raise ValueError(
                f"problem.dim: expected at least {self.train.max_workers}, an axis for each of the"
                f" train.num_workers, got {problem.dim}"
            )

    def _steps_of_a_polynomial(self) -> None:
        """Raise unless the run has what the optimiser `kaczmarz` needs."""
        train, estimator = self.train, self.estimator.kind
        if self.model.skip == "none":
            raise ValueError(
                "model.skip: expected linear or quadratic, the part that train.optimizer=kaczmarz"
                " moves, got none"
            )
        if train.max_workers > 1:
            raise ValueError(
                "train.num_workers: expected 1 with train.optimizer=kaczmarz, whose steps are made"
                f" of all points of a batch, got {train.max_workers}"
            )
        if estimator in ("full", "double_backward"):
            raise ValueError(
                "estimator.kind: expected one that takes derivatives of known parts in closed form"
                f" with train.optimizer=kaczmarz (all but full, double_backward), got {estimator}"
            )
        if train.loss == "squared" and train.index_sets > 1:
            raise ValueError(
                "train.index_sets: expected 1 with train.optimizer=kaczmarz and the squared loss,"
                f" got {train.index_sets}; train.loss=unbiased takes more"
            )


class OperatorRun(Frozen):
    """A neural operator trained on a dataset of this experiment."""

    dataset: Name
    model: FNO
    train: OperatorTraining
    initial_checkpoint: Path | None = None


def _run_tag(value: Any) -> str:
    is_operator = "dataset" in value if isinstance(value, Mapping) else hasattr(value, "dataset")
    return "operator" if is_operator else "pinn"


Run = Annotated[
    Annotated[PinnRun, Tag("pinn")] | Annotated[OperatorRun, Tag("operator")],
    Discriminator(_run_tag),
]


# --- bounds -------------------------------------------------------------------------------------


def _quadrature_exists(degree: int) -> int:
    if degree % 4 != 3:
        raise ValueError(
            f"expected 3, 7, 11, ... (4m + 3: m double roots shared by f and its transform),"
            f" got {degree}"
        )
    return degree


class TwoPoint(Frozen):
    """Cohn–Elkies bound from f = p(2π|x|²) exp(-π|x|²), deg p = `degree`."""

    kind: Literal["two_point"]
    dim: Annotated[int, Field(ge=1, le=48)]
    degree: Annotated[int, Field(ge=3, le=403)] = 47

    _degree = field_validator("degree")(_quadrature_exists)


class ThreePoint(Frozen):
    """Cohn–de Laat–Salmon bound from f_2 as in `TwoPoint` and a kernel f_3 on a shell.

    `kernel_degree` d is the degree of f_3 in |x|² and in ⟨x, y⟩, `outer_ratio` the quotient R/r of
    the shell's radii, `margin` what f_3 gives away (relative to its size) so that a proof is short.
    Conic problems are solved to the relative duality gap `gap` with `conic_bits` of precision: 53
    are doubles; more take 5 to 20 times as long, and are needed for gaps below 1e-9 only.
    """

    kind: Literal["three_point"]
    dim: Annotated[int, Field(ge=3, le=24)]
    degree: Annotated[int, Field(ge=3, le=403)] = 43
    kernel_degree: Annotated[int, Field(ge=2, le=24)] = 12
    outer_ratio: Annotated[float, Field(gt=1, lt=2)] = 1.3
    margin: Annotated[float, Field(ge=1e-12, le=1e-2)] = 1e-7
    conic_bits: Annotated[int, Field(ge=53, le=4096)] = 53
    gap: Annotated[float, Field(ge=1e-300, le=1e-2)] = 3e-5

    _degree = field_validator("degree")(_quadrature_exists)

    @model_validator(mode="after")
    def _precise_enough(self) -> "ThreePoint":
        if 53 < self.conic_bits < 64:
            raise ValueError(
                f"conic_bits: expected 53 (doubles) or at least 64, got {self.conic_bits}"
            )
        if self.conic_bits == 53 and self.gap < 1e-9:
            raise ValueError(
                f"gap: expected at least 1e-9 in doubles, got {self.gap:g}; raise conic_bits"
            )
        return self


Formulation = TwoPoint | ThreePoint


class SolverSettings(Frozen):
    """Precision of the solver; the verifier does not depend on it."""

    precision_bits: Annotated[int, Field(ge=64, le=65536)] = 512


class Bound(Frozen):
    """An upper bound on the sphere packing density."""

    formulation: Annotated[Formulation, Field(discriminator="kind")]
    solver: SolverSettings = SolverSettings()


# --- the experiment -----------------------------------------------------------------------------


class Experiment(Frozen):
    """One experiment file, overlays merged.

    Its results lie in `results/<name>`; without a name, in one called after the last file.
    """

    schema_version: Literal[1]
    name: Name | None = None
    seed: NonNegativeInt
    datasets: dict[Name, AnyDataset] = {}
    runs: dict[Name, Run] = {}
    bounds: dict[Name, Bound] = {}

    @model_validator(mode="after")
    def _datasets_exist(self) -> "Experiment":
        for name, run in self.runs.items():
            if not isinstance(run, OperatorRun):
                continue
            if run.dataset not in self.datasets:
                known = ", ".join(sorted(self.datasets)) or "none"
                raise ValueError(
                    f"runs.{name}.dataset: expected one of the datasets ({known}),"
                    f" got {run.dataset!r}"
                )
            dataset = self.datasets[run.dataset]
            if not isinstance(dataset, Dataset):
                raise ValueError(
                    f"runs.{name}.dataset: expected a dataset of inputs and targets,"
                    f" got the trajectory {run.dataset!r}"
                )
            _check_operator(name, run, dataset)
        return self


def _check_operator(name: str, run: OperatorRun, dataset: Dataset) -> None:
    """Raise if the model or the loader of `run` does not fit the grid of its dataset."""
    if len(run.model.modes) != len(dataset.grid):
        raise ValueError(
            f"runs.{name}.model.modes: expected {len(dataset.grid)} numbers for dataset"
            f" {run.dataset!r}, got {len(run.model.modes)}"
        )
    points = min(dataset.grid) // run.train.grid_stride
    if max(run.model.modes) > points // 2:
        raise ValueError(
            f"runs.{name}.model.modes: expected at most {points // 2} on a training grid of"
            f" {points} points, got {max(run.model.modes)}"
        )


# --- reading ------------------------------------------------------------------------------------


def load(*files: Path | str) -> Experiment:
    """Return the experiment in `files`, later ones overlaid on earlier ones.

    Raises:
        ConfigError: a file cannot be read or parsed, or its content is refused.
    """
    merged: dict[str, Any] = {}
    for file in files:
        merged = _overlay(merged, read_yaml(file))
    return validate(merged, files)


def validate(raw: Mapping[str, Any], files: Iterable[Path | str]) -> Experiment:
    """Return the experiment in the merged mapping `raw`; `files` serve the error message.

    Raises:
        ConfigError: one line per complaint, `file: key: what was expected (got ...)`.
    """
    try:
        return Experiment.model_validate(raw)
    except ValidationError as error:
        layers = [(str(file), read_yaml(file)) for file in files]
        lines = [_complaint(detail, layers) for detail in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def parse_run(raw: Mapping[str, Any]) -> PinnRun | OperatorRun:
    """Return one validated run from its mapping, as a job receives it."""
    run: PinnRun | OperatorRun = TypeAdapter(Run).validate_python(raw)
    return run


def shaping(part: BaseModel) -> dict[str, Any]:
    """Return what shapes the numbers of a part, or of an experiment, as JSON values.

    That is all but the number of workers of a run, and the tolerance that data are held to.
    """
    workers: Any = {"train": {"num_workers"}}
    bound: Any = {"tolerance"}
    own = bound if isinstance(part, Dataset | Trajectory) else workers
    inner = {"runs": {"__all__": workers}, "datasets": {"__all__": bound}}
    whole = inner if isinstance(part, Experiment) else own
    return part.model_dump(mode="json", exclude=whole)


def read_yaml(file: Path | str) -> dict[str, Any]:
    """Return the mapping in a YAML file; raises `ConfigError` naming file and line."""
    try:
        content = yaml.safe_load(Path(file).read_text())
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else str(file)
        raise ConfigError(f"{where}: {getattr(error, 'problem', error)}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: expected a mapping at the top level")
    return content


def _overlay(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Merge as Snakemake does: mappings key by key, anything else replaced."""
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _overlay(merged[key], value) if both else value
    return merged


def _complaint(detail: Mapping[str, Any], layers: list[tuple[str, dict[str, Any]]]) -> str:
    """Return one line for one pydantic error, naming the file that holds the key."""
    # A validator over several keys names them itself: its message then extends the path.
    message = detail["msg"].removeprefix("Value error, ")
    path, depths = _visible_path(detail["loc"], [content for _, content in layers])
    deepest = max(depths, default=0)
    files = [file for (file, _), depth in zip(layers, depths, strict=True) if depth == deepest]
    where = files[-1] if files else "--config"
    key = ".".join(map(str, path))
    if detail["type"] == "value_error":
        return f"{where}: {key}.{message}" if key else f"{where}: {message}"
    if detail["type"] == "missing":
        return f"{where}: {key}: {message}"
    return f"{where}: {key}: {message}, got {detail['input']!r}"


def _visible_path(
    loc: tuple[int | str, ...], contents: list[dict[str, Any]]
) -> tuple[list[int | str], list[int]]:
    """Drop the union tags pydantic puts in `loc`; return the path and its depth in each file."""
    path: list[int | str] = []
    nodes: list[Any] = list(contents)
    depths = [0] * len(contents)
    for part in loc:
        children = [_child(node, part) for node in nodes]
        found = any(child is not None for child in children)
        if not found and _is_tag(part, nodes):
            continue
        path.append(part)
        nodes = children
        depths = [
            depth + 1 if child is not None else depth
            for depth, child in zip(depths, children, strict=True)
        ]
    return path, depths


def _child(node: Any, part: int | str) -> Any:
    if isinstance(node, Mapping):
        return node.get(part)
    if isinstance(node, list) and isinstance(part, int) and part < len(node):
        return node[part]
    return None


def _is_tag(part: int | str, nodes: list[Any]) -> bool:
    """Whether `part` names the chosen member of a union rather than a key of the file."""
    kinds = {node["kind"] for node in nodes if isinstance(node, Mapping) and "kind" in node}
    return part in kinds or part in ("pinn", "operator", "samples", "trajectory")


def schema_text() -> str:
    """Return the JSON schema of an experiment file, for editors and for readers."""
    return json.dumps(Experiment.model_json_schema(), indent=1) + "\n"


if __name__ == "__main__":
    # python -m pipeline.config > workflow/schemas/experiment.schema.json
    print(schema_text(), end="")
