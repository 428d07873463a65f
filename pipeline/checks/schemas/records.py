"""Records of where results come from, and of what failed: written by every stage."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, RootModel, WithJsonSchema

from pipeline.checks.schemas.base import (
    EXPERIMENT,
    REF,
    Count,
    Decimal,
    JsonObject,
    Moment,
    SchemaVersion,
    Sha256,
    as_in_experiment,
)
from pipeline.config import Experiment
from pipeline.kinds import Name
from pipeline.limits import Seed
from pipeline.packing.config import Bound
from pipeline.store.config import AnyDataset
from pipeline.training.operator.config import OperatorRun
from pipeline.training.pinn.config import PinnRun

WholeExperiment = Annotated[Experiment, WithJsonSchema({REF: EXPERIMENT})]


class ExperimentRecord(JsonObject):
    """`experiment.json`: whose a folder of results is, and which command last worked in it."""

    schema_version: SchemaVersion
    name: Name
    """Name of the experiment and of its folder."""
    files: Annotated[list[str], Field(min_length=1)]
    """Experiment files as on the command line, later ones overlaid."""
    overrides: dict[str, Any]
    """Keys of `--config`."""
    seed: Seed
    command: str
    """The command line of Snakemake."""
    started: Moment
    config: WholeExperiment
    """The experiment with all defaults."""


class Hardware(JsonObject):
    """The machine of a stage's driver; null, or missing, is what it hides."""

    processor: str | None = None
    cores: int | None = None
    memory_mb: int | None = None


class Record(JsonObject):
    """What the `run.json` of all stages share; it is the last file that a stage writes."""

    schema_version: SchemaVersion
    name: Name
    """Name of the data set, run or bound; `summary` for the stage aggregate."""
    seed: Seed
    config_digest: Sha256
    """SHA-256 of what shapes the numbers in `config` (`pipeline.runtime.digest`)."""
    source_digest: Sha256
    """SHA-256 of the modules that compute the result."""
    commit: Annotated[str, Field(pattern="^([0-9a-f]{40}|[0-9a-f]{64}|unknown)$")]
    """Commit of the source tree."""
    dirty: bool | None
    """Whether tracked files differ from the commit; null if unknown."""
    versions: dict[str, str]
    """Of Python and of the libraries that shape the numbers."""
    hardware: Hardware
    started: Moment
    wall_time_s: Annotated[float, Field(ge=0)]
    peak_memory_mb: float | None
    """Of all processes of the stage on the machine of its driver, sampled."""


class DataSummary(JsonObject):
    """What the summaries of all data sets share."""

    bytes: Count
    """Size of the shards."""
    max_error: float
    """Estimated largest error, relative in L2; empirical."""
    max_error_is: str
    """What is meant by `max_error`."""
    tolerance: float
    """Data with a larger error are refused."""


class SamplesSummary(DataSummary):
    """Summary of a data set of samples."""

    num_samples: Count
    seconds_per_sample: float
    worst_sample: Count
    """Index of the sample with `max_error`."""
    shards_by_node: dict[str, Count]
    """How many shards each machine has computed."""


class FlowSummary(DataSummary):
    """Summary of the trajectory of a flow."""

    num_snapshots: Count
    num_steps: Count
    seconds_per_step: float
    worst_snapshot: Count
    """Index of the snapshot with `max_error`."""
    energy_imbalance: float
    """Largest |E(0) - E(t) - ∫ε| / E(0)."""
    max_divergence: float
    initial_energy: float
    final_energy: float
    peak_dissipation: float
    peak_dissipation_time: float
    resolution: float
    """k_max η at the peak of dissipation; 1 or more means resolved."""
    ranks_by_node: dict[str, Count]
    """How many MPI ranks each machine had."""


class GenerateRecord(Record):
    """`data/<name>.run.json`."""

    stage: Literal["generate"]
    config: Annotated[AnyDataset, as_in_experiment("Dataset", "Trajectory")]
    summary: SamplesSummary | FlowSummary


class Choice(JsonObject):
    """The estimator that a run with `auto` has taken."""

    kind: str
    milliseconds: dict[str, float]
    """CPU time of a step by estimator."""


class TrainSummary(JsonObject):
    """Final numbers of a run; beside these, each task has figures of its own, by name.

    A figure of a test set comes with its standard error, `<figure>_standard_error`; null is a
    number that is not finite.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None]

    relative_l2: float | None
    """Relative L2 error on the test points or samples; empirical."""
    samples_per_second: float | None
    num_parameters: Count
    training_s: float
    all_reduce_bytes_per_step: float
    """Bytes that a worker adds to those of the others, a step."""
    estimator: Choice | None = None
    """Missing unless the run says `auto`."""


class TrainRecord(Record):
    """`train/<name>/run.json`."""

    stage: Literal["train"]
    config: Annotated[PinnRun | OperatorRun, as_in_experiment("PinnRun", "OperatorRun")]
    summary: TrainSummary


class SearchSummary(JsonObject):
    """What the solver claims; empirical until the verifier has proved it."""

    label: Literal["empirical"]
    bound: Decimal
    """The density is claimed to be at most this."""
    degree: Count


class SearchRecord(Record):
    """`search/<name>/run.json`."""

    stage: Literal["search"]
    config: Annotated[Bound, as_in_experiment("Bound")]
    summary: SearchSummary


class CertifySummary(JsonObject):
    """The outcome of a proof, as in `verdict.json`."""

    status: Literal["proved", "rejected"]
    bound: Decimal | None


class CertifyRecord(Record):
    """`certify/<name>/run.json`."""

    stage: Literal["certify"]
    config: Annotated[Bound, as_in_experiment("Bound")]
    summary: CertifySummary


class ReportSummary(JsonObject):
    """Sizes of what the stage aggregate wrote."""

    num_rows: Count
    """Rows of `summary.parquet`."""
    report_bytes: Count
    """Size of `report.html`."""


class AggregateRecord(Record):
    """`run.json` of the report: every part of the experiment has its result."""

    stage: Literal["aggregate"]
    config: WholeExperiment
    summary: ReportSummary


AnyRecord = Annotated[
    GenerateRecord | TrainRecord | SearchRecord | CertifyRecord | AggregateRecord,
    Field(discriminator="stage"),
]


class RunRecord(RootModel[AnyRecord]):
    """`run.json` of a stage (of a data set `<name>.run.json`): where a result comes from."""


class MissingPart(JsonObject):
    """A part of the experiment without a result."""

    stage: Literal["generate", "train", "search", "certify"]
    name: Name
    status: Literal["failed", "blocked", "missing", "damaged", "outdated", "unsound"]
    reason: str


class IncompleteSummary(ReportSummary):
    """Sizes of the report, and what it lacks."""

    missing: Annotated[list[MissingPart], Field(min_length=1)]


class IncompleteRecord(Record):
    """`incomplete.json`, in place of the report's `run.json` where parts have no result."""

    stage: Literal["aggregate"]
    config: WholeExperiment
    summary: IncompleteSummary


class FailureRecord(JsonObject):
    """Why a stage failed, or that it has started and not ended; gone once it has ended well."""

    schema_version: SchemaVersion
    stage: Literal["generate", "train", "search", "certify"]
    name: Name
    reason: Annotated[str, Field(max_length=1000)]
    """One line."""
    when: Moment
