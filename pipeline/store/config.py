"""Configuration of data sets: samples, or the trajectory of one flow."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pipeline.equations.union import AnyFlow, AnySampledEquation
from pipeline.kinds import Grid, Part, kinds_of
from pipeline.limits import Processes, Relative, Seed, Size, Snapshots

DataSeed = Annotated[
    Seed,
    Field(
        description=(
            "Seed of the random inputs. It is the data set's own, and not the experiment's, so that"
            " experiments of several seeds share the data."
        )
    ),
]


Tolerance = Annotated[
    Relative | None,
    Field(
        description=(
            "Largest estimated error of a sample or snapshot, in space and in time, relative in the"
            " L2 norm; data that miss it are refused. null takes the equation's: 1e-4 for burgers,"
            " 0.1 for darcy (first order, since its coefficient jumps), 0.2 for navier_stokes (the"
            " velocity field, by a pessimistic estimate)."
        )
    ),
]


DType = Annotated[
    Literal["float32", "float64"],
    Field(
        description=(
            "Type of the stored numbers; everything is computed in float64. float64 takes twice the"
            " space, and is needed for a tolerance below 1e-7 only."
        )
    ),
]


class Dataset(Part):
    """A store of input and target fields: independent samples, made by Dask."""

    stage_modules: ClassVar[tuple[str, ...]] = ("pipeline.datagen.stage",)
    # It refuses data but changes none.
    neutral: ClassVar[frozenset[str]] = frozenset({"tolerance"})

    problem: AnySampledEquation = Field(description="The equation that is solved.")
    grid: Grid = Field(
        description=(
            "Points along each axis: one number for burgers, two for darcy. Darcy's grid has nodes"
            " at both ends; its transforms are fast if the numbers less one have small factors"
            " only, as 129 has."
        )
    )
    num_samples: Size = Field(
        description="Number of samples, those for tests included; a multiple of samples_per_shard."
    )
    num_test: Size = Field(
        description=(
            "How many of the samples, the last ones, are held out for tests; a multiple of"
            " samples_per_shard. With few of them errors have large standard errors."
        )
    )
    samples_per_shard: Size = Field(
        default=100,
        description=(
            "Samples of one file, which one task makes in memory. Batches mix 16 shards of up to"
            " 8 MiB each, and fewer of larger ones; small shards are many files."
        ),
    )
    seed: DataSeed = 0
    dtype: DType = "float32"
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


class Trajectory(Part):
    """A store of one flow: its velocity field at several times, made by MPI ranks."""

    stage_modules: ClassVar[tuple[str, ...]] = ("pipeline.datagen.mpi_stage",)
    # Ranks divide the same transforms: numbers differ by rounding at most, files by their cuts.
    neutral: ClassVar[frozenset[str]] = frozenset({"ranks", "tolerance"})

    problem: AnyFlow = Field(description="The flow that is computed.")
    grid: Grid = Field(
        description=(
            "Points along each axis of the cube: three equal even numbers, which `ranks` divides."
            " Wave numbers below a third of them are kept."
        )
    )
    num_snapshots: Snapshots = Field(
        description=(
            "How many velocity fields are stored after the initial one, at equal distances up to"
            " final_time. Each one holds three numbers a point."
        )
    )
    ranks: Processes = Field(
        default=2,
        description=(
            "Number of MPI processes, a divisor of the points of an axis: each owns a slab of"
            " planes. SLURM takes 2 or more; elsewhere more than four a core are refused."
        ),
    )
    seed: DataSeed = 0
    dtype: DType = "float32"
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


# By the kind of the equation: the user names the flow, and the layout follows from it.
def _dataset_tag(value: Any) -> str:
    problem = value.get("problem") if isinstance(value, Mapping) else getattr(value, "problem", {})
    kind = problem.get("kind") if isinstance(problem, Mapping) else getattr(problem, "kind", "")
    return "trajectory" if kind in kinds_of(AnyFlow) else "samples"


AnyDataset = Annotated[
    Annotated[Dataset, Tag("samples")] | Annotated[Trajectory, Tag("trajectory")],
    Discriminator(_dataset_tag),
]
