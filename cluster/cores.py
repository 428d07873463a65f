"""How many cores this process may use."""

import os
from collections.abc import Iterator
from pathlib import Path


def limit() -> int:
    """Return the cores that this process may use: those it is bound to, or its quota of their time.

    A container's quota (`docker run --cpus`) is a control group's and binds to no core; a part of a
    core counts as one.
    """
    bound = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, min(bound, *of_control_groups(), bound))


def of_control_groups(
    groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> Iterator[int]:
    """Yield the quotas (cores, rounded up) of the control groups of a process and of their parents.

    Lines of `groups` are as in `cluster.memory.of_control_groups`. Version 2 has a file `cpu.max`,
    "quota period" or "max period"; version 1 has one file for each, and -1 for no quota.
    """
    lines = groups.read_text(encoding="utf-8").splitlines() if groups.exists() else []
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root if not controllers else root / "cpu"
        own = top / path.lstrip("/")
        # A quota of any group above holds as well.
        for folder in (own, *own.parents):
            quota, period = _quota(folder)
            if quota > 0 and period > 0:
                yield -(-quota // period)
            if folder == top:
                break


def _quota(folder: Path) -> tuple[int, int]:
    """Return quota and period of one control group in microseconds; (0, 0) for none."""
    both = folder / "cpu.max"
    files = [both] if both.exists() else [folder / f"cpu.cfs_{x}_us" for x in ("quota", "period")]
    try:
        words = " ".join(file.read_text(encoding="utf-8") for file in files).split()
        return int(words[0]), int(words[1])
    except (OSError, ValueError, IndexError):
        return 0, 0
