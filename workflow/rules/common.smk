# Helpers of the rules: the validated experiment, and what each job is given of it.
import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

from cluster import preflight, slurm_request
from pipeline import experiment as reading
from pipeline.checks import sizes, workspace
from pipeline.checks.inputs import check_inputs, makers
from pipeline.checks.places import check_places
from pipeline.config import find_part
from pipeline.errors import PipelineError
from pipeline.kinds import NAME_PATTERN, entry_modules
from pipeline.runtime import disk, ownership, terminal
from pipeline.runtime.digest import report_digest, source_digest
from pipeline.runtime.identity import identity as identity_of

terminal.tolerate()


def read_experiment():
    """Return the files, the validated experiment, and whose results these are.

    A mistake ends Snakemake with one line, before any job.
    """
    files = [named(file) for file in workflow.configfiles]
    settings = workflow.config_settings
    try:
        # Snakemake has read the files as well, but says neither the line of a mistake nor that a
        # key is there twice; and what is nested in `--config` it leaves as text.
        layers = reading.read(files, settings.config)
        # A name in an earlier file is another experiment's.
        last = layers[len(files) - 1]
        if settings.replace_workflow_config and not workflow.overwrite_configfiles:
            del layers[: len(files)]
        whole = reading.merged(layers)
        experiment = reading.validate(whole, layers)
        owner = workspace.identify(experiment, files, settings.config, last)
        if workflow.is_main_process:
            if not is_on_cluster():
                reading.check_room(
                    experiment, layers, reading.room_here(), is_elsewhere=has_a_ray()
                )
            workspace.check_owner(owner)
            check_places(
                experiment, Path("data"), owner.results, Path("logs") / owner.name
            )
            check_inputs(experiment, Path("data"), owner.results)
            ownership.claim(Path(".snakemake"))
            if told := workspace.old_layout(owner):
                print(f"note: {told}", file=sys.stderr)
    except PipelineError as error:
        sys.exit(str(error))
    config.clear()
    config.update(whole)
    return layers, experiment, owner


def is_on_cluster():
    """Return whether a cluster runs the jobs.

    The executor is not known yet: a cluster's profile gives a number of jobs and default resources.
    """
    limits = workflow.resource_settings
    return bool(limits.nodes and limits.default_resources is not None)


def has_a_ray():
    """Return whether the command line names a running Ray, where training then has its workers."""
    asked = workflow.resource_settings.overwrite_resources.get("train", {})
    address = asked.get("ray_address")
    return bool(getattr(address, "raw", address))


def named(file):
    """Return `file` as the user would write it: relative to the working directory if inside."""
    path = Path(file).absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


layers, experiment, owner = read_experiment()
# Results and logs of this experiment alone; data sets are shared.
R, LOGS = owner.results.as_posix(), f"logs/{owner.name}"

# Snakemake holds the jobs of a cluster to the cores of the machine it was started on if `cores` is
# set, and the default profile, which is merged over the cluster's, has to set it for a laptop.
if workflow.is_main_process and is_on_cluster():
    workflow.global_resources["_cores"] = sys.maxsize
    workflow.resource_settings.cores = sys.maxsize


# Runs that start from the checkpoint of another one.
starts_from = makers(experiment, owner.results)

# What each stage leaves for the report.
TRAINED = ["run.json", "metrics.parquet", "prediction.npz"]
CHECKPOINT = ["checkpoint/model.json", "checkpoint/model.pt"]
SEARCHED = ["run.json", "trace.json", "candidate.json"]
CERTIFIED = ["run.json", "verdict.json"]


def quote_python():
    """Have Snakemake quote the path of this Python where a shell would split it.

    It writes the path into the commands of scripts as it is.
    """
    from snakemake import script

    class Quoted:
        executable = shlex.quote(sys.executable)

        def __getattr__(self, name):
            return getattr(sys, name)

    script.sys = Quoted()


if shlex.quote(sys.executable) != sys.executable:
    quote_python()


# The source as it is when Snakemake starts: read once, however many jobs share it.
digest = cache(source_digest)
report_source = cache(report_digest)


def named_part(section, name):
    """Return the part of the experiment with this name; an unknown one ends Snakemake."""
    try:
        return find_part(experiment, section, name)
    except PipelineError as error:
        sys.exit(str(error))


def stage_config(section, wildcard):
    """Return a params function: what shapes the numbers of the part that the wildcard names."""

    def counted(wildcards):
        name = wildcards[wildcard]
        found = identity_of(named_part(section, name))
        if section == "runs" and name in starts_from:
            # An input, whose weights are not known before they are made.
            found["initial_checkpoint"] = f"runs.{starts_from[name]}"
        return found

    return counted


def stage_source(section, wildcard):
    """Return a params function: the digest of the modules that shape the job's numbers."""
    return lambda wildcards: digest(
        *entry_modules(named_part(section, wildcards[wildcard]))
    )


def flows():
    """Return a regular expression of the names of the datasets that MPI computes."""
    entries = experiment.datasets.items()
    names = (name for name, part in entries if part.problem.computed_by == "mpi")
    return "|".join(names) or "(?!)"


def store_of(wildcards):
    """Return the store a run trains on; none for a PINN."""
    dataset = getattr(named_part("runs", wildcards.run), "dataset", None)
    return [f"data/{dataset}.zarr/zarr.json"] if dataset else []


def initial_of(wildcards):
    """Return the checkpoint a run starts from, if a run of this experiment makes it."""
    maker = starts_from.get(wildcards.run)
    if maker is None:
        return []
    return [f"{R}/train/{maker}/{file}" for file in CHECKPOINT]


def num_workers(wildcards):
    """Return the largest number of workers of a run, each one thread."""
    return named_part("runs", wildcards.run).train.max_workers


def proof_divides(bound):
    """Return whether parts of the proof of a bound are proved side by side."""
    return named_part("bounds", bound).formulation.proof_divides


def num_ranks(wildcards):
    """Return the number of MPI ranks of a flow."""
    return named_part("datasets", wildcards.dataset).ranks


def check_cluster():
    """Return if SLURM, where used, can run the planned jobs; else end. Print what retries meet."""
    if workflow.executor_plugin.name != "slurm":
        return
    if shlex.quote(sys.executable) != sys.executable:
        sys.exit(
            f"{sys.executable}: expected a path without blanks and marks of the shell, because"
            " Snakemake hands it to SLURM unquoted; move the folder, or make .venv elsewhere"
        )
    # One job for each of the few requests that thousands of jobs make.
    jobs = {
        slurm_request.Request.of(job.name, job.threads, job.resources): job
        for job in workflow.dag.needrun_jobs()
        if not job.is_local
    }
    # Runs share a request and differ in what they need.
    unfit = [line for job in workflow.dag.needrun_jobs() for line in misfits_of(job)]
    if unfit:
        sys.exit("\n".join(unfit))
    requests = [*jobs, *(again for job in jobs.values() for again in retries(job))]
    found = preflight.check(requests, workflow.executor_settings.status_command)
    if found.problems:
        sys.exit("\n".join(found.problems))
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    remember_min_job_age()
    # A job that is queued again goes on with its log; SLURM would begin it anew.
    os.environ.setdefault("SBATCH_OPEN_MODE", "append")


def misfits_of(job):
    """Return a line for each number of workers, or size, that is more than the job asks for."""
    if job.is_local or job.resources.get("ray_address"):
        return []
    asked = slurm_request.Request.of(job.name, job.threads, job.resources)
    # Networks on a GPU do not need the memory of the node.
    bytes_asked = asked.memory_mb and asked.memory_mb * asked.nodes * 2**20
    room = sizes.Room(
        asked.cpus, None if asked.gpus else bytes_asked, f"the request of {job.name}"
    )
    found = sizes.job_misfits(experiment, job.wildcards_dict, room)
    return [reading.complain(layers, *misfit) for misfit in found]


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


def write_down_the_start():
    """Record whose folder of results this is, and the command that works on it."""
    command = shlex.join(["snakemake", *sys.argv[1:]])
    try:
        with disk.explained(owner.results):
            workspace.begin(owner, experiment, command)
    except (PipelineError, OSError) as error:
        sys.exit(f"error: {error}")


def closing_table():
    """Return the short table that ends a run, if the run has made one."""
    table = owner.results / "summary.txt"
    return table.read_text(encoding="utf-8") if table.exists() else ""


def report_what_there_is():
    """Make the report of an experiment of which something failed: each failure is a row in it.

    Only where the report was asked for. It leaves no run.json, so the rule `aggregate` still runs
    once everything is there; Snakemake's exit status stays that of a failure.
    """
    if not any(job.rule.name == "aggregate" for job in workflow.dag.jobs):
        return
    path = os.pathsep.join(
        filter(None, [workflow.basedir, os.environ.get("PYTHONPATH")])
    )
    subprocess.run(
        [sys.executable, "-m", "pipeline.aggregate", owner.name],
        env=os.environ | {"PYTHONPATH": path},
        check=False,
    )


def everything():
    """Return all files that the experiment asks for.

    Not only the report: a file that is missing is made anew if it is asked for itself.
    """
    data = [f"data/{name}" for name in experiment.datasets]
    runs = [f"{R}/train/{name}" for name in experiment.runs]
    bounds = experiment.bounds
    return [
        *expand("{data}{file}", data=data, file=[".zarr/zarr.json", ".run.json"]),
        *expand("{run}/{file}", run=runs, file=[*TRAINED, *CHECKPOINT]),
        *expand(f"{R}/search/{{name}}/{{file}}", name=bounds, file=SEARCHED),
        *expand(f"{R}/certify/{{name}}/{{file}}", name=bounds, file=CERTIFIED),
    ]


# Not "name1|name2|...": Snakemake scans it for every job, which is quadratic in the number of runs.
wildcard_constraints:
    dataset=NAME_PATTERN,
    run=NAME_PATTERN,
    bound=NAME_PATTERN,
