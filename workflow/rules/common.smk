# Helpers of the rules: the validated experiment, and what each job is given of it.
import sys
from pathlib import Path

from pipeline import config as experiment_models
from pipeline import ownership
from pipeline.errors import PipelineError
from pipeline.preflight import check_inputs
from pipeline.provenance import source_digest
from pipeline.stages import entry_modules

SUMMARY = "results/summary.txt"


def read_experiment():
    """Return the validated experiment; a mistake ends Snakemake with one line, before any job."""
    try:
        experiment = experiment_models.validate(
            config, map(named, workflow.configfiles)
        )
        if workflow.is_main_process:
            check_inputs(experiment, Path("data"))
            ownership.claim(Path(".snakemake"))
    except PipelineError as error:
        sys.exit(str(error))
    return experiment


def named(file):
    """Return `file` as the user would write it: relative to the working directory if inside."""
    path = Path(file).absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


experiment = read_experiment()


def stage_config(section, wildcard):
    """Return a params function: the part of the experiment that the job's wildcard names."""
    entries = getattr(experiment, section)
    return lambda wildcards: entries[wildcards[wildcard]].model_dump(mode="json")


def stage_source(section, wildcard):
    """Return a params function: the digest of the modules that shape the job's numbers."""
    entries = getattr(experiment, section)
    return lambda wildcards: source_digest(*entry_modules(entries[wildcards[wildcard]]))


def names(section):
    """Return a regular expression of the names in a section, to constrain a wildcard."""
    return "|".join(getattr(experiment, section)) or "(?!)"


def store_of(wildcards):
    """Return the store a run trains on; none for a PINN."""
    dataset = getattr(experiment.runs[wildcards.run], "dataset", None)
    return [f"data/{dataset}.zarr/zarr.json"] if dataset else []


def num_workers(wildcards):
    """Return the number of workers of a run, each one thread."""
    return experiment.runs[wildcards.run].train.num_workers


def closing_table():
    """Return the short table that ends a run, if the run has made one."""
    return Path(SUMMARY).read_text() if Path(SUMMARY).exists() else ""


wildcard_constraints:
    dataset=names("datasets"),
    run=names("runs"),
    bound=names("bounds"),
