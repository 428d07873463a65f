"""One job of a stage: log, lock, kept state, record and the words for any failure, in two blocks.

    job = Job.of("train", name, snakemake)
    with job.logged():                     # the process: what it says, and why it failed
        with job.running(config) as work:  # alone, from its kept state, recorded at the end
            ...

A stage is the few lines within; everything that all stages owe the user is here.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.runtime import console, disk, kept, ownership, provenance
from pipeline.runtime.digest import config_digest


@dataclass
class Work:
    """What a stage works with: its kept state, and what it leaves in the record.

    folder: state of this very configuration, seed and source; there from before if it was killed.
    summary: its final numbers, for `run.json`.
    """

    folder: Path
    summary: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A job of `stage` for the part called `name`.

    source: digest of the source that shapes its numbers.
    record: its `run.json`, the last file that it writes; other results lie beside it.
    state: folder of the states of all its configurations, if it keeps any.
    log, failed: where the words of the process go; see `console.stage`.
    """

    stage: str
    name: str
    seed: int
    source: str
    record: Path
    state: Path | None = None
    log: Path | None = None
    failed: Path | None = None

    @classmethod
    def of(cls, stage: str, name: str, rule: Any) -> "Job":
        """Return the job that Snakemake's object `rule` describes to a script."""
        state, failed = (rule.params.get(key) for key in ("state", "failed"))
        return cls(
            stage,
            name,
            seed=rule.params.seed,
            source=rule.params.source,
            record=Path(rule.output.record),
            state=Path(state) if state else None,
            log=Path(rule.log[0]),
            failed=Path(failed) if failed else None,
        )

    @property
    def output(self) -> Path:
        """Return the folder of the results."""
        return self.record.parent

    def logged(self) -> AbstractContextManager[None]:
        """Return the context that copies all words to the log, and makes any failure one line."""
        assert self.log is not None
        return console.stage(self.log, self.record, self.failed)

    @contextmanager
    def running(
        self,
        config: BaseModel,
        *,
        digest: str | None = None,
        files: Sequence[str] = (),
        lock: Path | None = None,
        patience_s: float = ownership.PATIENCE_S,
    ) -> Iterator[Work]:
        """Work alone on the state of this configuration; at the end write the record and forget it.

        Args:
            config: the part of the experiment, for the record.
            digest: of all that shapes the numbers; by default of `config`, seed and source.
            files: results beside the record, for whose places something else is refused.
            lock: the folder that no other process may work in; by default `state`.
            patience_s: how long to wait for one that does.

        Raises:
            PlaceError: the results cannot be written, or something else is in their places.
            PipelineError: another process does the same work and does not end.
        """
        # Of the working directory now, whatever becomes of it.
        record = self.record.absolute()
        disk.check_folder(record.parent)
        # Now, and not after hours of work.
        for file in (*files, record.name):
            disk.check_folder((record.parent / file).parent)
            disk.check_file(record.parent / file)
        state = self.state.resolve() if self.state else None
        if state:
            disk.check_folder(state)
        digest = digest or config_digest(config, self.seed, self.source)
        with ExitStack() as stack:
            # Before the state is claimed, which removes what another process has half-written.
            if alone := lock or state:
                stack.enter_context(ownership.alone(alone, patience_s))
            what = f"{self.stage} {self.name}"
            folder = kept.claim(state, digest, what) if state else record.parent
            with provenance.record(
                record,
                stage=self.stage,
                name=self.name,
                seed=self.seed,
                config=config,
                source=self.source,
            ) as summary:
                yield Work(folder, summary)
            # After the record: a job that is killed in between finds its work done.
            if state:
                # As it was given: a link in its place is the user's and stays.
                assert self.state is not None
                kept.release(self.state, digest)
