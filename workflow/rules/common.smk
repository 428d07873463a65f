# Helpers of the rules: the validated experiment, and what each job is given of it.
import os
import sys
from functools import cache
from pathlib import Path

from cluster import preflight, slurm_request
from pipeline import config as experiment_models
from pipeline import ownership, terminal
from pipeline.config import NAME_PATTERN
from pipeline.errors import PipelineError
from pipeline.preflight import check_inputs
from pipeline.provenance import source_digest
from pipeline.stages import entry_modules, find_part

SUMMARY = "results/summary.txt"

terminal.tolerate()


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

# Snakemake holds the jobs of a cluster to the cores of the machine it was started on if `cores` is
# set, and the default profile, which is merged over the cluster's, has to set it for a laptop. The
# executor is not known yet: a cluster's profile gives a number of jobs and default resources.
limits = workflow.resource_settings
if workflow.is_main_process and limits.nodes and limits.default_resources is not None:
    workflow.global_resources["_cores"] = limits.cores = sys.maxsize


# The source as it is when Snakemake starts: read once, however many jobs share it.
digest = cache(source_digest)


def named_part(section, name):
    """Return the part of the experiment with this name; an unknown one ends Snakemake."""
    try:
        return find_part(experiment, section, name)
    except PipelineError as error:
        sys.exit(str(error))


def stage_config(section, wildcard):
    """Return a params function: what shapes the numbers of the part that the wildcard names."""
    return lambda wildcards: experiment_models.shaping(
        named_part(section, wildcards[wildcard])
    )


def stage_source(section, wildcard):
    """Return a params function: the digest of the modules that shape the job's numbers."""
    return lambda wildcards: digest(
        *entry_modules(named_part(section, wildcards[wildcard]))
    )


def flows():
    """Return a regular expression of the names of the datasets that MPI makes."""
    flow = experiment_models.Trajectory
    entries = experiment.datasets.items()
    return "|".join(name for name, part in entries if isinstance(part, flow)) or "(?!)"


def store_of(wildcards):
    """Return the store a run trains on; none for a PINN."""
    dataset = getattr(named_part("runs", wildcards.run), "dataset", None)
    return [f"data/{dataset}.zarr/zarr.json"] if dataset else []


def num_workers(wildcards):
    """Return the largest number of workers of a run, each one thread."""
    return named_part("runs", wildcards.run).train.max_workers


def is_three_point(bound):
    """Return whether a bound is a three-point bound."""
    return named_part("bounds", bound).formulation.kind == "three_point"


def num_ranks(wildcards):
    """Return the number of MPI ranks of a flow."""
    return named_part("datasets", wildcards.dataset).ranks


def check_cluster():
    """Return if SLURM, where used, can run the planned jobs; else end. Print what retries meet."""
    if workflow.executor_plugin.name != "slurm":
        return
    # One job for each of the few requests that thousands of jobs make.
    jobs = {
        slurm_request.Request.of(job.name, job.threads, job.resources): job
        for job in workflow.dag.needrun_jobs()
        if not job.is_local
    }
    requests = [*jobs, *(again for job in jobs.values() for again in retries(job))]
    found = preflight.check(requests, workflow.executor_settings.status_command)
    if found.problems:
        sys.exit("\n".join(found.problems))
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    remember_min_job_age()
    # A job that is queued again goes on with its log; SLURM would begin it anew.
    os.environ.setdefault("SBATCH_OPEN_MODE", "append")


def remember_min_job_age():
    """Have the SLURM executor ask for MinJobAge once: now, while the controller answers.

    Where it gets no answer later, it would turn to sacct, which without accounting never answers.
    """
    import snakemake_executor_plugin_slurm as executor

    executor.get_min_job_age = cache(executor.get_min_job_age)
    executor.get_min_job_age()


def retries(job):
    """Yield what a job would ask for after each failure."""
    for attempt in range(2, job.restart_times + 2):
        resources = job.rule.expand_resources(
            job.wildcards_dict, job.input, attempt, skip_evaluation={"tmpdir"}
        )
        yield slurm_request.Request.of(
            job.name, resources["_cores"], resources, attempt
        )


def closing_table():
    """Return the short table that ends a run, if the run has made one."""
    return Path(SUMMARY).read_text(encoding="utf-8") if Path(SUMMARY).exists() else ""


# Not "name1|name2|...": Snakemake scans it for every job, which is quadratic in the number of runs.
wildcard_constraints:
    dataset=NAME_PATTERN,
    run=NAME_PATTERN,
    bound=NAME_PATTERN,
