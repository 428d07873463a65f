"""Train one run on Ray Train: workers, retries and metrics are Ray's; state and files are ours.

The state of a run lies in `<state>/<digest>`, keyed by everything its numbers depend on; that of a
configuration it had before is kept beside it (`pipeline.runtime.kept`). Ray's own
record of a run is rewritten in place and so can be read half-written after a kill; ours is
replaced by a rename. Whatever is killed, and whenever, the next start with the same digest goes on
from the last snapshot, and its results equal those of an undisturbed run but for times; on another
number of workers, but for rounding too.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cluster import ray_cluster, time_limit
from cluster.time_limit import TimeLimit
from pipeline.errors import PipelineError, TimeLimitError, TrainingError
from pipeline.kinds import implementation_of_stage
from pipeline.parallel.group import Group
from pipeline.runtime import disk, progress
from pipeline.runtime.digest import config_digest
from pipeline.runtime.job import Job
from pipeline.runtime.progress import Progress
from pipeline.training import attempts
from pipeline.training.config import Run
from pipeline.training.saved import checkpoint, outputs, snapshot
from pipeline.training.worker import TrainingJob, work

MAX_FAILURES = 3
RESIZE_CHECK_S = 60.0


def run(job: Job, run: Run, *, store: Path | None, ray_address: str = "") -> None:
    """Train `run` and write metrics.parquet, checkpoint/, prediction.npz and last run.json.

    Args:
        job: its state lies on a file system that all workers share.
        run: what to train.
        store: dataset of an operator run.
        ray_address: a running Ray to train on; see `ray_cluster.session`.

    Raises:
        StoreError: the dataset is unfinished or damaged.
        CheckpointError: the initial checkpoint is damaged or of another model.
        TrainingError: the loss diverged, a worker failed in a way that no retry can cure, or the
            workers failed more than `MAX_FAILURES` times in a row.
        PlaceError: the results cannot be written.
        TimeLimitError: the SLURM job stopped before its time limit; see `time_limit.requeued`.
        PipelineError: another process trains in the same folder and does not end.
    """
    assert job.state is not None
    limit = time_limit.of_this_job()
    # The record tells what was asked for; the workers get a path that they can follow.
    asked, run = run, _resolved(run)
    digest = _digest(run, job.seed, job.source, store)
    running = job.running(asked, digest=digest, files=outputs.FILES)
    with time_limit.requeued(limit), running as work:
        run, chosen = implementation_of_stage(run).settled(
            run,
            name=job.name,
            seed=job.seed,
            digest=digest,
            file=job.state.with_name(f"{job.state.name}.estimator.json"),
        )
        task = TrainingJob(run, job.name, job.seed, store.resolve() if store else None, work.folder)
        fewest, most = run.train.min_workers, run.train.max_workers
        with ray_cluster.session(most, min_cpus=fewest, address=ray_address) as session:
            _fit(task, session.num_gpus, limit)
        work.summary |= outputs.install(task.results, job.output.resolve())
        if chosen:
            work.summary["estimator"] = chosen
    error = work.summary["relative_l2"]
    print(f"{job.name}: relative_l2 {error:.3e}, results in {job.output}", flush=True)


def _resolved(run: Run) -> Run:
    """Return `run` with a path to its initial checkpoint that every process can follow.

    As it is written it is relative to the working directory, which that of a worker is not.
    """
    if run.initial_checkpoint is None:
        return run
    checkpoint.check_checkpoint(run.initial_checkpoint, run)
    return run.model_copy(update={"initial_checkpoint": run.initial_checkpoint.resolve()})


def _digest(run: Run, seed: int, source: str, store: Path | None) -> str:
    """Return a digest of all that determines the numbers of a run."""
    # The attributes of a store hold the checksum of every block.
    attributes = store / "zarr.json" if store else None
    contents = [attributes.read_bytes()] if attributes and attributes.exists() else []
    return config_digest(
        run, seed, source, [hashlib.sha256(content).hexdigest() for content in contents]
    )


def _fit(job: TrainingJob, num_gpus: int, limit: TimeLimit | None) -> None:
    """Run the workers of `job` to the end; see `run` for what is raised.

    Lost workers are replaced `MAX_FAILURES` times, and then again as long as a snapshot was saved
    in between: a long run may lose many nodes, a defect stops it at the same step each time.
    What fails in our own code is not tried again; see `attempts`.
    """
    import ray

    attempts.begin(job.folder)
    with progress.follow(job.progress):
        while True:
            before = snapshot.stamp(job.folder)
            try:
                _trainer(job, num_gpus, limit).fit()
                break
            except (ray.exceptions.RayError, ray.train.TrainingFailedError) as error:
                attempts.raise_foreseen(job.folder)
                # The attempts have gained steps: they are counted anew.
                if snapshot.stamp(job.folder) != before:
                    continue
                raise TrainingError(
                    f"runs.{job.name}: workers failed {MAX_FAILURES + 1} times in a row:"
                    f" {attempts.why(job.folder, error)}"
                ) from error
    # Errors that end all ranks together are left in the folder, and Ray sees workers that succeed.
    attempts.raise_foreseen(job.folder)


def _trainer(job: TrainingJob, num_gpus: int, limit: TimeLimit | None) -> Any:
    """Return a Ray trainer that knows nothing of earlier attempts: the state is ours.

    With a range of workers, Ray starts as many as it finds room for and at least the fewest, and
    restarts all of them after a loss and whenever `RESIZE_CHECK_S` shows room for more.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    # Ray would go on from its own record of an earlier attempt.
    shutil.rmtree(job.folder / "ray", ignore_errors=True)
    resources, backend = _resources(job.run.train.min_workers, num_gpus)
    return TorchTrainer(
        _work,
        train_loop_config={"job": job, "limit": limit},
        scaling_config=ScalingConfig(
            num_workers=job.run.train.num_workers,
            use_gpu=num_gpus > 0,
            resources_per_worker=resources,
            elastic_resize_monitor_interval_s=RESIZE_CHECK_S,
        ),
        torch_config=TorchConfig(backend=backend),
        run_config=RunConfig(
            name=job.name,
            storage_path=str(job.folder / "ray"),
            failure_config=FailureConfig(max_failures=MAX_FAILURES),
        ),
    )


def _resources(min_workers: int, num_gpus: int) -> tuple[dict[str, float], str]:
    """Return what a worker reserves of the cluster, and the backend of the process group.

    A worker has a GPU for itself, so that no more workers start than there are GPUs; only if these
    do not suffice for the fewest workers they are shared. nccl refuses two ranks on one GPU.
    """
    if num_gpus == 0:
        return {"CPU": 1}, "gloo"
    sharers = -(-min_workers // num_gpus)
    if sharers == 1:
        return {"CPU": 1, "GPU": 1}, "nccl"
    # A little less than an equal part: in floating point 1 // 0.2 is 4.
    return {"CPU": 1, "GPU": 9999 // sharers / 10_000}, "gloo"


def _work(config: dict[str, Any]) -> None:
    """Body of a training process."""
    import ray.train.torch

    job: TrainingJob = config["job"]
    limit: TimeLimit | None = config["limit"]
    # Ray restarts workers whatever has failed: where no retry cures it they return at once.
    if attempts.is_over(job.folder):
        return
    device = ray.train.torch.get_device()
    if device.type == "cpu":
        # A worker reserves one core.
        torch.set_num_threads(1)
    stop = limit.is_near if limit else None
    try:
        with disk.explained(job.folder):
            work(job, world=Group(), device=device, publish=_publisher(job.name), stop=stop)
    except PipelineError as error:
        attempts.give_up(job.folder, error)
        # These end all ranks together; any other failure leaves ranks behind that must be stopped.
        if not isinstance(error, TrainingError | TimeLimitError):
            raise
    except Exception as error:
        attempts.note(job.folder, job.name, error)
        raise


def _publisher(name: str) -> Callable[[Progress], None]:
    """Return a function that sets the gauges at Ray's metrics endpoint, tagged by run."""
    from ray.util.metrics import Gauge

    gauges: dict[str, Any] = {}

    def publish(now: Progress) -> None:
        values = {"step": now.step, "samples_per_second": now.samples_per_second}
        for key, value in (values | now.figures).items():
            if key not in gauges:
                gauges[key] = Gauge(f"pipeline_train_{key}", f"{key} of a run", tag_keys=("run",))
            gauges[key].set(value, tags={"run": name})

    return publish
