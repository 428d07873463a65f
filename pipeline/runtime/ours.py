"""Which files the pipeline itself wrote, told by what they say.

A file of ours may be replaced; any other is the user's, whatever its name. An empty one is free: it
is what a full disk or a cut in power leaves, and nobody loses anything by it.
"""

import json
from pathlib import Path
from typing import Any

# The first line of every log of a stage. Snakemake removes a log before it starts the job, so a
# stage cannot append to what it finds there: what is not ours has to be known before any job.
LOG_LINE = "# log of a stage of the pipeline"
# Records of stages and failures begin so, those that a damaged disk cut off as well.
_RECORD_START = b'{\n "schema_version": 1,\n "stage": "'
# How `ownership.alone` signs its locks.
_LOCK_START = b"process "
_BENCHMARK_START = b"s\th:m:s\t"
# More than the record of an experiment of 100,000 runs takes.
_MOST_BYTES = 200_000_000


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a regular file; None if it holds, or is, anything else."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def read_record(path: Path, stage: str) -> dict[str, Any] | None:
    """Return the `run.json` that `stage` left at `path`; None if that is missing, or not whole."""
    kinds = {"seed": int, "config": dict, "config_digest": str}
    content = read_json(path)
    if content is None or content.get("stage") != stage:
        return None
    return content if all(isinstance(content.get(key), kinds[key]) for key in kinds) else None


def is_record(path: Path) -> bool:
    """Return whether `path` is free, or the record of a stage or of its failure, damaged or not."""
    if _begins(path, _RECORD_START):
        return True
    content = read_json(path)
    return content is not None and {"schema_version", "stage", "name"} <= content.keys()


def is_log(path: Path) -> bool:
    """Return whether `path` is free, or a log that `console.stage` began."""
    return _begins(path, LOG_LINE.encode())


def is_lock(path: Path) -> bool:
    """Return whether `path` is free, or a lock of `ownership.alone`, held or left by a kill."""
    return _begins(path, _LOCK_START)


def is_benchmark(path: Path) -> bool:
    """Return whether `path` is free, or the table of time and memory that Snakemake makes."""
    return _begins(path, _BENCHMARK_START)


def _begins(path: Path, start: bytes) -> bool:
    """Return whether a file is missing, empty, or begins with `start`."""
    try:
        with path.open("rb") as file:
            found = file.read(len(start))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return found in (b"", start)
