"""Why a stage failed: one line in a file of its own, there until the stage starts again.

The report reads it, so that a failed part is a row with its reason and not an absence. What the
record says is told, never trusted: no number comes from it.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import PlaceError
from pipeline.runtime import disk

# Enough for every complaint of ours; a foreign exception may hold the arrays it is about.
MOST_CHARACTERS = 1000
_LARGEST_RECORD = 65_536
_FIELDS = ("stage", "name", "reason", "when")


@dataclass(frozen=True)
class Failure:
    """What is known of a failed stage: `reason` is one line, `when` is ISO 8601 in UTC."""

    stage: str
    name: str
    reason: str
    when: str


def path(folder: Path, stage: str, name: str) -> Path:
    """Return where the failure of `stage` for `name` is recorded.

    Args:
        folder: `data` for the stage generate, else the results of the experiment.
        stage: generate, train, search or certify.
        name: of the data set, run or bound.
    """
    # A data set belongs to no single experiment: its failure does not lie in one's results.
    if stage == "generate":
        return folder / f"{name}.failed.json"
    return folder / "failed" / f"{stage}.{name}.json"


def write(file: Path, *, reason: str, when: str | None = None) -> bool:
    """Record a failure in `file`, whole or not at all; return whether that was possible.

    It never raises: where the disk is full the reason on the screen matters more than its record.

    Args:
        file: see `path`.
        reason: made one line (`one_line`).
        when: ISO 8601; now if None.
    """
    found = Failure(*_whose(file), one_line(reason), when or _now())
    with suppress(OSError, PlaceError), disk.replacing(file) as temporary:
        text = json.dumps({"schema_version": 1, **asdict(found)}, indent=1, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
        return True
    return False


def read(file: Path) -> Failure | None:
    """Return the failure recorded in `file`, or None if there is no record.

    It never raises. A record that cannot be read still says that something failed: its reason is
    then that the record is damaged, its stage and name are those of the file's name.
    """
    try:
        with file.open("rb") as opened:
            content = json.loads(opened.read(_LARGEST_RECORD).decode("utf-8"))
        if content.get("schema_version") != 1:
            raise ValueError("another version")
        values = [content[key] for key in _FIELDS]
        if not all(isinstance(value, str) and value.strip() for value in values):
            raise ValueError("expected texts")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        stage, name = _whose(file)
        return Failure(stage, name, f"failed, and the record {file} is damaged", "unknown")
    return Failure(*map(one_line, values))


def clear(file: Path) -> None:
    """Remove the record in `file`, if there is one: the stage starts again. It never raises."""
    with suppress(OSError):
        file.unlink()


def one_line(text: str) -> str:
    """Return `text` as one printable line of at most `MOST_CHARACTERS` characters.

    Lines are joined by semicolons; control characters, and bytes of file names that are no text,
    become blanks.
    """
    lines = (
        " ".join("".join(c if c.isprintable() else " " for c in line).split())
        for line in text.splitlines()
    )
    joined = "; ".join(line for line in lines if line) or "unknown reason"
    return joined if len(joined) <= MOST_CHARACTERS else joined[: MOST_CHARACTERS - 1] + "…"


def _whose(file: Path) -> tuple[str, str]:
    """Return stage and name, which the file's name tells."""
    stem = file.name.removesuffix(".json")
    if stem.endswith(".failed"):
        return "generate", stem.removesuffix(".failed")
    stage, _, name = stem.partition(".")
    return stage, name


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
