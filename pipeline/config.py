"""An experiment as frozen, validated models; `pipeline.experiment` reads it from its files.

Every Snakemake job parses the Snakefile and so imports this module: it depends on pydantic and
nothing heavier.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pipeline.limits import (
    Directions,
    GridPoints,
    InverseLength,
    Layers,
    LearningRate,
    Magnitude,
    Processes,
    RadiusExponent,
    RateFactor,
    Relative,
    Repeats,
    Seed,
    Size,
    Smoothness,
    Snapshots,
    Steps,
    TestPoints,
    Time,
    Viscosity,
    Wavenumber,
    WeightDecay,
    too_many_steps,
    too_viscous,
)

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_\-]*"
# A file system takes 255 bytes; ours add at most `.zarr.partial.lock` and a temporary suffix.
MAX_NAME_LENGTH = 100
# Linux takes 4,096 bytes, and files lie below the path.
MAX_PATH_LENGTH = 4_000
Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", max_length=MAX_NAME_LENGTH)]
# Its own and not the experiment's, so that experiments of different seeds share a data set.
DataSeed = Annotated[
    Seed,
    Field(description="seed of the random inputs; the experiment's seed does not touch them"),
]


class Frozen(BaseModel):
    """An immutable model that refuses keys it does not know, and a value of another type.

    Whole numbers are numbers; nothing else is converted: no 1.0 or true for 1, no "1".

    `neutral` names the fields that shape no number of a result, but for rounding: a finished result
    is not made again when they change. Every other field counts.
    """

    neutral: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    def neutral_here(self) -> frozenset[str]:
        """Return those of `neutral` that shape no number given the values of the other fields."""
        return self.neutral


# YAML has no tuples and no paths: what stands for them is converted, the items of tuples are not.
Grid = Annotated[tuple[GridPoints, ...], Strict(False)]
Modes = Annotated[tuple[Size, ...], Strict(False)]


def _check_path(value: Path) -> Path:
    # A file system takes no NUL and no lone surrogate, and a terminal obeys control characters.
    is_odd = any(unicodedata.category(x) in ("Cc", "Cs") for x in str(value))
    if is_odd or len(str(value)) > MAX_PATH_LENGTH:
        raise PydanticCustomError(
            "path", f"expected a path of at most {MAX_PATH_LENGTH:,} characters that can be shown"
        )
    return value


def _check_whole(value: Any) -> Any:
    # Of a Literal pydantic asks for equality alone, and in Python 1 == 1.0 == True.
    if type(value) in (bool, float):
        raise PydanticCustomError("whole", "expected a whole number")
    return value


File = Annotated[Path, Strict(False), AfterValidator(_check_path)]
Whole = BeforeValidator(_check_whole)


def _refuse(*mistakes: str) -> None:
    """Raise unless all mistakes are empty; each is "key: expected ..., got ..."."""
    if any(mistakes):
        raise ValueError("\n".join(filter(None, mistakes)))


# --- datasets -----------------------------------------------------------------------------------


class Burgers(Frozen):
    """u_t + u u_x = viscosity u_xx on the periodic unit interval, from a Gaussian random field."""

    num_axes: ClassVar[int] = 1
    periodic: ClassVar[bool] = True
    # Spectral data are far below it, or far above where a shock is not resolved.
    default_tolerance: ClassVar[float] = 1.0e-4

    kind: Literal["burgers"]
    viscosity: Viscosity
    final_time: Time = 1.0
    time_step: Time = 2.0e-3

    @model_validator(mode="after")
    def _can_be_solved(self) -> "Burgers":
        # exp(-4π²) = 7e-18.
        _refuse(
            too_many_steps(self.final_time, self.time_step),
            too_viscous(self.viscosity, self.final_time, 1.0, "4π² "),
        )
        return self


class Darcy(Frozen):
    """-div(a grad u) = 1 on the unit square, u = 0 on its boundary, two-valued random a."""

    num_axes: ClassVar[int] = 2
    periodic: ClassVar[bool] = False
    # First order where the coefficient jumps: a few per cent on 64 x 64 points.
    default_tolerance: ClassVar[float] = 0.1

    kind: Literal["darcy"]
    low: Magnitude = 3.0
    high: Magnitude = 12.0
    smoothness: Smoothness = 2.0
    inverse_length: InverseLength = 3.0
    tolerance: Annotated[float, Field(ge=1e-30, le=1.0)] = 1.0e-10


class TaylorGreen(Frozen):
    """u = (sin x cos y cos z, -cos x sin y cos z, 0); Reynolds number 1/viscosity."""

    kind: Literal["taylor_green"]


class DecayingTurbulence(Frozen):
    """A random solenoidal field, E(k) ∝ k⁴ exp(-2 (k/peak_wavenumber)²), drawn from the seed."""

    kind: Literal["decaying_turbulence"]
    energy: Magnitude = 0.5
    peak_wavenumber: Wavenumber = 3.0


class NavierStokes(Frozen):
    """Incompressible flow in the periodic cube of side 2π from `initial` to `final_time`."""

    # Of the whole velocity field; the averages of a flow are far more accurate.
    default_tolerance: ClassVar[float] = 0.2

    kind: Literal["navier_stokes"]
    viscosity: Viscosity
    initial: Annotated[TaylorGreen | DecayingTurbulence, Field(discriminator="kind")]
    final_time: Time
    time_step: Time = 0.02

    @model_validator(mode="after")
    def _can_be_solved(self) -> "NavierStokes":
        # exp(-80) = 2e-35 is the end of single precision.
        _refuse(
            too_many_steps(self.final_time, self.time_step),
            too_viscous(self.viscosity, self.final_time, 80.0, ""),
        )
        return self


Tolerance = Annotated[
    Relative | None,
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

    neutral: ClassVar[frozenset[str]] = frozenset({"tolerance"})

    problem: DataProblem
    grid: Grid
    num_samples: Size
    num_test: Size
    samples_per_shard: Size = 100
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
            raise ValueError(
                f"grid: expected {axes} numbers for {self.problem.kind}, got {len(self.grid)}"
            )
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

    neutral: ClassVar[frozenset[str]] = frozenset({"ranks", "tolerance"})

    problem: NavierStokes
    grid: Grid
    num_snapshots: Snapshots
    ranks: Processes = 2
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

    dim: Size

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
    coefficient_seed: Seed = 0
    zero_sum: bool = True
    radius_exponent: RadiusExponent = 1.0

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
    dim: Annotated[Literal[10, 100, 1000, 10_000], Whole]
    equation: Literal["heat", "allen_cahn", "sine_gordon"]


class HJB(InTime):
    """Hamilton–Jacobi–Bellman equation backward from t = 1; `mu` is for lqg and rosenbrock.

    Training points are standard `normal` in space, as published, or lie on the `paths` of √2 W that
    start at such points: on those the values there depend.
    """

    kind: Literal["hjb"]
    equation: Literal["lqg", "rosenbrock", "lin"] = "lqg"
    mu: Magnitude = 1.0
    points: Literal["normal", "paths"] = "normal"
    coefficient_seed: Seed = 0
    reference_samples: Annotated[int, Field(ge=2, le=10**8)] = 4096
    reference_seed: Seed = 0

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
    coefficient_seed: Seed = 0


class Schroedinger(InSpace):
    """Ground state of an anisotropic harmonic oscillator, in log form, on a ball."""

    kind: Literal["schroedinger"]
    coefficient_seed: Seed = 0


PinnProblem = Annotated[
    TwoBody | ThreeBody | Parabolic | HJB | BlackScholesBarenblatt | FokkerPlanck | Schroedinger,
    Field(discriminator="kind"),
]


class MLP(Frozen):
    """Fully connected tanh network: `depth` linear layers, `width` hidden units.

    `skip` adds a polynomial of the coordinates to it, of degree 1 or 2.
    """

    kind: Literal["mlp"]
    width: Size = 128
    depth: Annotated[int, Field(ge=2, le=10_000)] = 4
    skip: Literal["none", "linear", "quadratic"] = "none"


class FNO(Frozen):
    """Fourier neural operator (Li et al., arXiv:2010.08895): `modes` frequencies per axis."""

    kind: Literal["fno"]
    modes: Modes
    width: Size = 64
    depth: Layers = 4


class SDGD(Frozen):
    """Sample `sampled_axes` coordinates of the Laplacian a step, without replacement."""

    kind: Literal["sdgd"]
    sampled_axes: Size = 16


class Full(Frozen):
    """The naive baseline: every coordinate of the Laplacian, `chunk` at a time."""

    kind: Literal["full"]
    chunk: Size = 50


class DoubleBackward(Frozen):
    """The axes of SDGD by reverse over reverse mode, axis by axis, as one writes it in PyTorch."""

    kind: Literal["double_backward"]
    sampled_axes: Size = 16


class Jet(Frozen):
    """The axes of SDGD by nested forward mode, for any network."""

    kind: Literal["jet"]
    sampled_axes: Size = 16


class Taylor(Frozen):
    """STDE's sparse directions: basis vectors drawn without replacement, as SDGD draws them."""

    kind: Literal["taylor"]
    num_directions: Size = 16


class Hutchinson(Frozen):
    """Hutchinson: `num_directions` random directions in all of space a step."""

    kind: Literal["hutchinson"]
    num_directions: Directions = 16
    distribution: Literal["rademacher", "gaussian"] = "rademacher"


class ExactGram(Frozen):
    """All coordinates, exactly, in as many directions as the network is wide."""

    kind: Literal["exact_gram"]


class Auto(Frozen):
    """exact_gram where it applies and a step is at most `max_slowdown` times slower, else sdgd."""

    kind: Literal["auto"]
    sampled_axes: Size = 16
    max_slowdown: Magnitude = 8.0


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


_Range = Annotated[tuple[Processes, Processes], Strict(False)]
Workers = Annotated[Processes | _Range, WrapValidator(_check_workers)]


class TrainSettings(Frozen):
    """What every training run needs.

    `batch_size` is what a step takes over all workers. The workers divide it, so their number
    changes the time of a step and, but for rounding, none of its numbers. `num_workers` is fixed,
    or [fewest, most]: as many as the cluster has room for, anew whenever nodes come or go.
    """

    neutral: ClassVar[frozenset[str]] = frozenset(
        {"num_workers", "checkpoint_every", "evaluate_every"}
    )

    learning_rate: LearningRate = 1.0e-3
    batch_size: Size = 20
    num_workers: Workers = 2
    checkpoint_every: Steps = 200
    evaluate_every: Steps = 200
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
    first_layer_rate: RateFactor = 1.0


class Kaczmarz(Frozen):
    """Natural-gradient steps in sample space for the polynomial `skip`, then Adam for the network.

    The network is zero until the fraction `network_after` of the steps is done. `damping` is
    relative to the mean of the diagonal of the Gram matrix. Coefficients of degree 2 move
    `quadratic_weight` times as far as those of degree 1; None is the root of their number.
    """

    kind: Literal["kaczmarz"]
    network_after: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    damping: Relative = 1.0e-4
    quadratic_weight: Magnitude | None = None


Optimizer = Annotated[Adam | Kaczmarz, Field(discriminator="kind")]


class EarlyStopping(Frozen):
    """End training when the residual on held-out points has stopped falling; keep the best model.

    The root mean square of the scaled residual over `num_points` points of the training law that
    no step uses is estimated every `evaluate_every` steps. Training ends after `patience` of these
    evaluations, all after step `min_steps`, in which it has not fallen by more than `min_delta`
    (relative) and by more than the standard error of the difference. An estimator that samples
    takes `index_sets` independent index sets a point.
    """

    patience: Steps
    min_delta: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.01
    min_steps: Annotated[int, Field(ge=0, le=10**9)] = 0
    num_points: Annotated[int, Field(ge=16, le=10**8)] = 1024
    index_sets: Annotated[int, Field(ge=2, le=10_000)] = 4


class PinnTraining(TrainSettings):
    """Fresh collocation points at each step; `batch_size` of them over all workers.

    `loss` is the square of the estimated residual, or the product 2 stopgrad(R_J) R_K of two
    independent estimates, whose mean is the square of the exact one. `index_sets` independent
    estimates are averaged: the squares of all, or R_J. Workers `shard` the points of a step, or the
    axes: then each holds its coordinates of all points and its columns of the first layer only.
    With `compile` torch makes one program of a step's residual and its gradient (some seconds at
    the start, and a C++ compiler where there is no GPU): the same numbers up to rounding, sooner.
    """

    neutral: ClassVar[frozenset[str]] = TrainSettings.neutral | {"compile"}

    num_steps: Steps
    batch_size: Size = 100
    num_test_points: TestPoints = 20_000
    loss: Literal["squared", "unbiased"] = "squared"
    index_sets: Repeats = 1
    optimizer: Optimizer = Adam(kind="adam")
    shard: Literal["points", "axes"] = "points"
    early_stopping: EarlyStopping | None = None
    compile: bool = False

    def neutral_here(self) -> frozenset[str]:
        """Return what shapes no number: with early stopping, the evaluations decide on the end."""
        return self.neutral - {"evaluate_every"} if self.early_stopping else self.neutral


class OperatorTraining(TrainSettings):
    """Adam on stored samples; `batch_size` samples a step over all workers."""

    num_epochs: Steps
    weight_decay: WeightDecay = 1.0e-4
    grid_stride: Size = 1


class PinnRun(Frozen):
    """A physics-informed network trained on the residual alone.

    Of `initial_checkpoint`, a path from the working directory, the weights found there count.
    """

    neutral: ClassVar[frozenset[str]] = frozenset({"initial_checkpoint"})

    problem: PinnProblem
    model: MLP
    estimator: Estimator
    train: PinnTraining
    initial_checkpoint: File | None = None

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
    """A neural operator trained on a dataset of this experiment.

    Of `initial_checkpoint`, a path from the working directory, the weights found there count.
    """

    neutral: ClassVar[frozenset[str]] = frozenset({"initial_checkpoint"})

    dataset: Name
    model: FNO
    train: OperatorTraining
    initial_checkpoint: File | None = None


def _run_tag(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "operator" if hasattr(value, "dataset") else "pinn"
    # By its model, too: so that a forgotten or misspelt `dataset` is what is complained of.
    model = value.get("model")
    kind = model.get("kind") if isinstance(model, Mapping) else None
    return "operator" if "dataset" in value or kind == "fno" else "pinn"


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
    """Precision of the solver; the verifier does not depend on it.

    84 bits are the fewest that a search of any dimension and degree ends with, 112 enough for the
    lowest degree of all dimensions; high degrees want more.
    """

    precision_bits: Annotated[int, Field(ge=84, le=65536)] = 512


class Bound(Frozen):
    """An upper bound on the sphere packing density."""

    formulation: Annotated[Formulation, Field(discriminator="kind")]
    solver: SolverSettings = SolverSettings()


# --- the experiment -----------------------------------------------------------------------------


class Experiment(Frozen):
    """One experiment file, overlays merged.

    Its results lie in `results/<name>`; without a name, in one called after the last file.
    """

    schema_version: Annotated[Literal[1], Whole]
    name: Name | None = None
    seed: Seed
    datasets: dict[Name, AnyDataset] = {}
    runs: dict[Name, Run] = {}
    bounds: dict[Name, Bound] = {}

    @model_validator(mode="after")
    def _parts_fit(self) -> "Experiment":
        mistakes = list(self._same_but_for_case())
        for name, run in self.runs.items():
            if not isinstance(run, OperatorRun):
                continue
            dataset = self.datasets.get(run.dataset)
            if dataset is None:
                near = get_close_matches(run.dataset, self.datasets) or sorted(self.datasets)[:3]
                mistakes.append(
                    f"runs.{name}.dataset: expected one of the {len(self.datasets)} datasets"
                    f" ({', '.join(near) or 'none'}), got {run.dataset!r}"
                )
            elif not isinstance(dataset, Dataset):
                mistakes.append(
                    f"runs.{name}.dataset: expected a dataset of inputs and targets,"
                    f" got the trajectory {run.dataset!r}"
                )
            else:
                mistakes.extend(_misfits(name, run, dataset))
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self

    def _same_but_for_case(self) -> Iterator[str]:
        """Yield what to say of names whose files are one where case does not count."""
        for section in ("datasets", "runs", "bounds"):
            seen: dict[str, str] = {}
            for name in getattr(self, section):
                first = seen.setdefault(name.lower(), name)
                if first != name:
                    yield (
                        f"{section}.{name}: expected names that differ in more than case (some"
                        f" file systems ignore it), got {first} too"
                    )


def _misfits(name: str, run: OperatorRun, dataset: Dataset) -> Iterator[str]:
    """Yield why the model or the loader of `run` does not fit its dataset."""
    model, train = f"runs.{name}.model", f"runs.{name}.train"
    stride, modes = run.train.grid_stride, run.model.modes
    if len(modes) != len(dataset.grid):
        yield (
            f"{model}.modes: expected {len(dataset.grid)} numbers for dataset {run.dataset!r},"
            f" got {len(modes)}"
        )
        return
    for axis, points in enumerate(dataset.grid):
        # A grid without its last node keeps its period if the stride divides its points; one with
        # both ends keeps them if it divides the intervals (Li et al.: 421 points, stride 5).
        fits = points % stride == 0 or (not dataset.problem.periodic and (points - 1) % stride == 0)
        if not fits:
            intervals = "" if dataset.problem.periodic else f", or of its {points - 1} intervals"
            yield (
                f"{train}.grid_stride: expected a divisor of the {points} points of axis {axis} of"
                f" dataset {run.dataset!r}{intervals}, got {stride}"
            )
            continue
        most = -(-points // stride) // 2
        if modes[axis] > most:
            yield (
                f"{model}.modes: expected at most {most} on axis {axis}, whose training grid has"
                f" {-(-points // stride)} points, got {modes[axis]}"
            )
    samples = dataset.num_samples - dataset.num_test
    if run.train.batch_size > samples:
        yield (
            f"{train}.batch_size: expected at most {samples}, the training samples of dataset"
            f" {run.dataset!r} (num_samples - num_test), got {run.train.batch_size}"
        )


def shaping(part: BaseModel) -> dict[str, Any]:
    """Return what shapes the numbers of a part, or of an experiment, as JSON values.

    All but its `neutral` fields; see `pipeline.identity` for the files it names.
    """
    return part.model_dump(mode="json", exclude=_unshaping(part))


def _unshaping(value: Any) -> dict[str, Any]:
    """Return the neutral fields of a model and of all models in it, as `model_dump` excludes."""
    if isinstance(value, Mapping):
        return {key: _unshaping(child) for key, child in value.items()}
    if not isinstance(value, Frozen):
        return {}
    found: dict[str, Any] = {key: _unshaping(child) for key, child in value}
    return {key: child for key, child in found.items() if child} | dict.fromkeys(
        value.neutral_here(), True
    )


def schema_text() -> str:
    """Return the JSON schema of an experiment file, for editors and for readers."""
    return json.dumps(Experiment.model_json_schema(), indent=1) + "\n"


if __name__ == "__main__":
    # python -m pipeline.config > workflow/schemas/experiment.schema.json
    print(schema_text(), end="")
