"""Where a result comes from: digests of configuration and source, and the `run.json` record."""

import ast
import hashlib
import json
import os
import platform
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline import disk
from pipeline.config import shaping

ROOT = Path(__file__).resolve().parent.parent
# What a stage imports without its numbers depending on it: values of the configuration count
# through `params`, and where a stage runs never changes what it computes.
NEUTRAL = frozenset(
    {
        "pipeline.config",
        "pipeline.console",
        "pipeline.disk",
        "pipeline.errors",
        "pipeline.failure",
        "pipeline.ownership",
        "pipeline.provenance",
        "pipeline.stages",
        "pipeline.workspace",
    }
)
_REPORTED = ("numpy", "scipy", "torch", "ray", "dask", "zarr", "python-flint", "snakemake")


def config_digest(config: BaseModel | Mapping[str, Any], *more: object) -> str:
    """Return a SHA-256 digest (hex) of a configuration and further JSON values.

    Of a validated configuration what shapes the numbers counts: see `pipeline.config.shaping`.
    """
    content = shaping(config) if isinstance(config, BaseModel) else dict(config)
    text = json.dumps([content, *more], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def source_digest(*modules: str) -> str:
    """Return a SHA-256 digest (hex) of the source of `modules` and all of ours they import.

    Snakemake does not see edits of imported modules; as a `params` value this digest makes it
    rerun exactly the jobs whose code changed. A function-level import counts like any other;
    a module loaded by name (`importlib`) must be listed by the caller.
    """
    digest = hashlib.sha256()
    for module in sorted(source_closure(*modules)):
        digest.update(module.encode() + b"\0" + _file_of(module).read_bytes())
    return digest.hexdigest()


def source_closure(*modules: str) -> frozenset[str]:
    """Return the modules of `pipeline` that importing `modules` may execute, less `NEUTRAL`."""
    closure: set[str] = set()
    pending = list(modules)
    while pending:
        module = pending.pop()
        if module in closure or module in NEUTRAL or not module.startswith("pipeline"):
            continue
        closure.add(module)
        pending.extend(_imports(module, _file_of(module).stat().st_mtime_ns))
    return frozenset(closure)


def _file_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _imports(module: str, _mtime_ns: int) -> tuple[str, ...]:
    """Return the project modules named by the import statements of `module`, and its parents."""
    parts = module.split(".")
    found = {".".join(parts[:depth]) for depth in range(1, len(parts))}
    for node in ast.walk(ast.parse(_file_of(module).read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    ours = (name for name in found if name.split(".")[0] == "pipeline")
    return tuple(sorted(name for name in ours if _file_of(name).exists()))


@contextmanager
def record(
    path: Path, *, stage: str, name: str, seed: int, config: BaseModel, source: str
) -> Iterator[dict[str, Any]]:
    """Time the enclosed stage and, if it succeeds, write its `run.json` to `path`.

    Yields a dictionary: what the stage puts there (its final numbers) is stored as `summary`.
    """
    summary: dict[str, Any] = {}
    started, clock = datetime.now(UTC), time.perf_counter()
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
            **_commit(),
            "versions": versions(),
            "hardware": hardware(),
            "started": started.isoformat(timespec="seconds"),
            "wall_time_s": round(time.perf_counter() - clock, 3),
            "peak_memory_mb": round(peak_memory_mb(), 1),
            "summary": summary,
        },
    )


def write_json(path: Path, content: object) -> None:
    """Write `content` to `path` under a temporary name, then rename: never half a file."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    with disk.replacing(path) as temporary:
        temporary.write_text(text)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that shape the numbers."""
    found = {"python": platform.python_version()}
    for package in _REPORTED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Return processor, usable cores and memory (MB) of this machine."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next(
            (x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), model
        )
    pages, page_size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_mb": pages * page_size // 2**20,
    }


def peak_memory_mb() -> float:
    """Return the largest resident set (MB) of this process and of its finished children."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(own, children) / 1024


def _commit() -> dict[str, Any]:
    """Return the commit of the source tree and whether tracked files differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "HEAD")
    return {"commit": commit or None, "dirty": bool(git("status", "--porcelain", "-uno"))}
