"""What the configurations of equations share."""

from typing import ClassVar, Literal

from pipeline.kinds import Kind


class Equation(Kind):
    """An equation that data are generated of.

    stores: "samples", independent pairs of input and target, or the "trajectory" of one solution.
    computed_by: "dask", a task a shard, or "mpi", ranks that divide one grid.
    error_of: what the stated errors are of, for the report.
    default_tolerance: the tolerance of a data set that gives none.
    """

    stores: ClassVar[Literal["samples", "trajectory"]]
    computed_by: ClassVar[Literal["dask", "mpi"]]
    error_of: ClassVar[str]
    default_tolerance: ClassVar[float]


class SampledEquation(Equation):
    """An equation whose random inputs are solved one by one.

    num_axes: the axes of its grid.
    periodic: its grid leaves out the last node of each axis; others have nodes at both ends.
    """

    implementation: ClassVar[str] = "generator"
    stores: ClassVar[Literal["samples", "trajectory"]] = "samples"
    computed_by: ClassVar[Literal["dask", "mpi"]] = "dask"
    num_axes: ClassVar[int]
    periodic: ClassVar[bool]


class Flow(Equation):
    """An equation of which one large solution is stored at several times."""

    implementation: ClassVar[str] = "solver"
    stores: ClassVar[Literal["samples", "trajectory"]] = "trajectory"
    computed_by: ClassVar[Literal["dask", "mpi"]] = "mpi"
