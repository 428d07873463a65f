"""Why a part has no result, as one line, from the files that its stage leaves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.aggregate.read import files
from pipeline.aggregate.read.results import Missing, Part, Record, Status
from pipeline.runtime import failure
from pipeline.runtime.failure import one_line

_STATES: dict[Status, str] = {
    "failed": "failed",
    "blocked": "was not made",
    "missing": "is not made yet",
    "damaged": "is damaged",
    "outdated": "is of another definition",
    "unsound": "is unsound",
}


@dataclass(frozen=True)
class Stage:
    """One stage of one part: where it records a failure, what it leaves, and what it needs.

    `outputs` are its files; none of them there means that it never finished. `needs` is the data
    set without a result that it reads, `records` are those of the part's earlier stages.
    """

    name: str
    config: Part
    stage: Literal["generate", "train", "search", "certify"]
    folder: Path
    outputs: tuple[Path, ...]
    needs: Missing | None = None
    records: tuple[Record, ...] = ()

    def missing(self, error: Exception) -> Missing:
        """Return why the stage has no result, given what reading its files complained about."""
        status, reason = _of_complaint(error), one_line(str(error))
        when = None
        failed = failure.read(failure.path(self.folder, self.stage, self.name))
        # Damage is what a reader sees now; where there is nothing, or something old, the stage's
        # own last word says more.
        if status in ("missing", "outdated") and failed is not None:
            status, reason, when = "failed", failed.reason, failed.when
        elif status == "missing" and not any(path.exists() for path in self.outputs):
            status, reason = self._not_there()
        return Missing(self.name, self.config, self.stage, status, reason, when, self.records)

    def _not_there(self) -> tuple[Status, str]:
        if self.needs is None or self.needs.status == "missing":
            return "missing", "not made yet"
        return "blocked", needs_text(self.needs)


def needs_text(dataset: Missing) -> str:
    """Return that a data set without a result is needed."""
    state = _STATES[dataset.status]
    return f"needs data set {dataset.name}, which {state}"


def _of_complaint(error: Exception) -> Status:
    match error:
        case files.AbsentError():
            return "missing"
        case files.OutdatedError():
            return "outdated"
        case files.UnsoundError():
            return "unsound"
    return "damaged"
