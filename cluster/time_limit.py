"""The time limit of the SLURM job this process runs in, and the way back into the queue.

A stage that can go on from what it has finished looks at the clock, stops in order shortly before
the limit, and has its job put back into the queue: the same job, so that Snakemake goes on waiting
for it and counts no failure. The clock is read, not a signal: SLURM sends `--signal` to all
processes of a job, those of Ray too, which end by it.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cluster import slurm_site
from pipeline.errors import ClusterError, TimeLimitError

# To finish a step, write a snapshot and end Ray; a quarter of limits too short for that.
_MARGIN_S = 120.0
# The SLURM executor of Snakemake starts its comments so; no other job is ours to requeue.
_COMMENT = "rule_"


@dataclass(frozen=True)
class JobTimes:
    """What SLURM says of a running job. Seconds, `math.inf` where unlimited."""

    left_s: float
    limit_s: float
    of_a_rule: bool

    @property
    def working_s(self) -> float:
        """Return the seconds left for work: less those for ending in order."""
        return self.left_s - min(_MARGIN_S, self.limit_s / 4)


@dataclass
class TimeLimit:
    """When a job has to stop. Picklable, for processes on all nodes of the job."""

    job_id: str
    times: JobTimes
    asked: float

    def seconds(self) -> float:
        """Return the seconds left for work, by this machine's clock."""
        return self.asked + self.times.working_s - time.time()

    def is_near(self, ahead_s: float = 0.0) -> bool:
        """Return whether less than `ahead_s` is left for work, so that it is time to stop.

        Asks SLURM again before it says so, for the limit may have been moved.
        """
        if self.seconds() > ahead_s:
            return False
        try:
            self.times, self.asked = _ask(self.job_id), time.time()
        except ClusterError:
            return True
        return self.seconds() <= ahead_s


def of_this_job() -> TimeLimit | None:
    """Return the limit of the job that this process belongs to; None outside of SLURM.

    None also if SLURM does not answer, which is printed: the work is then cut off at the limit and
    goes on from what was saved before.
    """
    job_id = os.environ.get("SLURM_JOB_ID")
    if job_id is None:
        return None
    try:
        return TimeLimit(job_id, _ask(job_id), time.time())
    except ClusterError as error:
        print(f"time limit of job {job_id}: unknown, {error}", flush=True)
        return None


@contextmanager
def requeued(limit: TimeLimit | None) -> Iterator[None]:
    """Put the job back into the queue if the block ends by a `TimeLimitError`.

    SLURM then ends all processes of the job, this one too, and starts it anew after two minutes.
    Only a block that got further may raise `TimeLimitError`: this is what ends the repetition.

    Raises:
        TimeLimitError: the job is not one of Snakemake's, or may not be requeued; Snakemake's own
            retry, or a new start, goes on from where this one stopped.
    """
    try:
        yield
    except TimeLimitError as error:
        if limit is None or not limit.times.of_a_rule:
            raise TimeLimitError(f"{error}; start again to go on from there") from None
        # Said before it is done: the end may come at once.
        print(f"{error}; job {limit.job_id} goes back into the queue and on from there", flush=True)
        try:
            slurm_site.ask("scontrol", "requeue", limit.job_id)
        except ClusterError as refusal:
            raise TimeLimitError(
                f"{error}; SLURM refused: {refusal}; set slurm-requeue: true in"
                " cluster/slurm/config.yaml, or start again to go on from there"
            ) from None
        raise


def parse_times(text: str) -> JobTimes:
    """Return the times in a line of `squeue --format='%L|%l|%k'`.

    Raises:
        ClusterError: it has another form, as for a job that has ended.
    """
    left, limit, comment = (text.strip().split("|", 2) + ["", ""])[:3]
    try:
        return JobTimes(
            60 * slurm_site.minutes(left),
            60 * slurm_site.minutes(limit),
            comment.startswith(_COMMENT),
        )
    except ValueError:
        raise ClusterError(
            f"squeue: expected the time left of a job, got {text.strip()!r}"
        ) from None


def _ask(job_id: str) -> JobTimes:
    query = ("--noheader", f"--jobs={job_id}", "--format=%L|%l|%k")
    return parse_times(slurm_site.ask("squeue", *query))
