"""Configuration of data sets: samples, or the trajectory of one flow."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pipeline.equations.union import AnyFlow, AnySampledEquation
from pipeline.kinds import Grid, Part, kinds_of
from pipeline.limits import Processes, Relative, Seed, Size, Snapshots

# Its own and not the experiment's, so that experiments of different seeds share a data set.
DataSeed = Annotated[
    Seed,
    Field(description="seed of the random inputs; the experiment's seed does not touch them"),
]


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


class Dataset(Part):
    """A store of input and target fields; the last `num_test` samples are held out."""

    stage_modules: ClassVar[tuple[str, ...]] = ("pipeline.datagen.stage",)
    neutral: ClassVar[frozenset[str]] = frozenset({"tolerance"})

    problem: AnySampledEquation
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


class Trajectory(Part):
    """A store of one flow: `num_snapshots` velocity fields after the initial one, by MPI ranks.

    Each of the `ranks` owns a slab of grid / ranks planes (SLURM takes MPI jobs of 2 or more).
    """

    stage_modules: ClassVar[tuple[str, ...]] = ("pipeline.datagen.mpi_stage",)
    neutral: ClassVar[frozenset[str]] = frozenset({"ranks", "tolerance"})

    problem: AnyFlow
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
    return "trajectory" if kind in kinds_of(AnyFlow) else "samples"


AnyDataset = Annotated[
    Annotated[Dataset, Tag("samples")] | Annotated[Trajectory, Tag("trajectory")],
    Discriminator(_dataset_tag),
]
