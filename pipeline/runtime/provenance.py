"""Where a result comes from: the `run.json` record."""

import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from pipeline.runtime import disk, memory
from pipeline.runtime.digest import ROOT, config_digest

_REPORTED = ("numpy", "scipy", "torch", "ray", "dask", "zarr", "python-flint", "snakemake")
# Far more than git needs, even on a slow file system.
_GIT_TIMEOUT_S = 10.0
UNKNOWN = "unknown"

_T = TypeVar("_T")


@contextmanager
def record(
    path: Path, *, stage: str, name: str, seed: int, config: BaseModel, source: str
) -> Iterator[dict[str, Any]]:
    """Time the enclosed stage and, if it succeeds, write its `run.json` to `path`.

    Yields a dictionary: what the stage puts there (its final numbers) is stored as `summary`.
    `peak_memory_mb` is that of all processes of the stage on this machine (see `memory`).
    What cannot be found out about the program or the machine is "unknown": it never costs a result.
    """
    summary: dict[str, Any] = {}
    started, clock = datetime.now(UTC), time.perf_counter()
    with memory.watched() as watch:
        yield summary
    write_json(
        path,
        {
            "schema_version": 1,
            "stage": stage,
            "name": name,
            "seed": seed,
            "config": config.model_dump(mode="json"),
            "config_digest": config_digest(config),
            "source_digest": source,
            **_known(_commit, {"commit": UNKNOWN, "dirty": None}),
            "versions": _known(versions, dict[str, str]()),
            "hardware": _known(hardware, dict[str, Any]()),
            "started": started.isoformat(timespec="seconds"),
            "wall_time_s": round(time.perf_counter() - clock, 3),
            "peak_memory_mb": _known(lambda: round(watch.peak_mb(), 1), None),
            "summary": _storable(summary),
        },
    )


def write_json(path: Path, content: object) -> None:
    """Write `content` to `path` under a temporary name, then rename: never half a file."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    with disk.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _storable(value: Any) -> Any:
    """Return `value` as JSON has it: infinite and undefined numbers as null, others as themselves.

    At the end of hours of work a strange number in the summary is recorded, not raised.
    """
    if isinstance(value, Mapping):
        return {str(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    # Numbers of numpy and torch know their Python value.
    return _storable(value.item()) if hasattr(value, "item") else str(value)


def _known(look: Callable[[], _T], otherwise: _T) -> _T:
    """Return what `look` finds, `otherwise` if it fails.

    It only describes a result that is there already: whatever a strange machine makes of it, an
    error here would throw that result away.
    """
    try:
        return look()
    except Exception:
        return otherwise


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that shape the numbers.

    One that is not installed, or whose metadata is damaged, is left out.
    """
    found = {"python": platform.python_version()}
    for package in _REPORTED:
        if text := _known(lambda package=package: version(package), None):  # type: ignore[misc]
            found[package] = text
    return found


def hardware() -> dict[str, Any]:
    """Return processor, usable cores and memory (MB) of this machine; None for what it hides."""
    return {
        "processor": _known(_processor, None) or _known(platform.machine, None),
        "cores": _known(lambda: len(os.sched_getaffinity(0)), os.cpu_count()),
        "memory_mb": _known(
            lambda: os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20, None
        ),
    }


def _processor() -> str:
    """Return the model of the first core; other architectures than x86 have no such line."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    lines = (line for line in text.splitlines() if line.startswith("model name"))
    model = next((line.partition(":")[2].strip() for line in lines), "")
    return model or platform.processor()


def _commit() -> dict[str, Any]:
    """Return the commit of the source tree and whether tracked files differ from it.

    "unknown" without git, in a copy without its repository, and where git refuses (a repository of
    another owner) or hangs. A copy that lies inside some other repository has no commit either.
    """
    # Those of a hook, say, would have git look at another repository.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(ROOT), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            encoding="utf-8",
            errors="replace",
            timeout=_GIT_TIMEOUT_S,
            check=True,
        )
        return done.stdout.strip()

    git("ls-files", "--error-unmatch", "pipeline/runtime/provenance.py")
    commit = git("rev-parse", "HEAD")
    changes = _known(lambda: git("status", "--porcelain", "-uno"), None)
    return {"commit": commit or UNKNOWN, "dirty": None if changes is None else bool(changes)}
