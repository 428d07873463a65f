"""A Ray session for one stage: connect to `RAY_ADDRESS`, or start Ray here and tear it down.

Never call `ray stop`: it matches processes on the whole machine. What is started here is a child
of the calling process and, on Linux, dies with it (PR_SET_PDEATHSIG on the raylet and the GCS),
even if that process is killed with SIGKILL.
"""

import fcntl
import logging
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

OBJECT_STORE_BYTES = 128 * 2**20
_LOCK = "session.lock"
_STALE_AFTER_S = 60.0
_TOKEN_HINT = "  (asks once for the token: `ray get-auth-token`)"

# Read by Ray when it is imported or when it starts its processes; a user's own value wins.
_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
}


@dataclass(frozen=True)
class Session:
    """Where a running Ray can be looked at; a part that is switched off is None."""

    dashboard_url: str | None
    metrics_url: str | None
    num_gpus: int


@contextmanager
def session(
    num_cpus: int, *, object_store_memory: int = OBJECT_STORE_BYTES, dashboard: bool = True
) -> Iterator[Session]:
    """Yield a Ray session with at least `num_cpus` logical CPUs, shut down on every exit path.

    With `RAY_ADDRESS` set, connects to that cluster (its owner stops it). Otherwise starts a
    local Ray on the loopback interface with free ports and a folder of its own, so that several
    sessions on one machine do not meet. Prints the addresses of the dashboard and of the metrics
    endpoint. Ray's token authentication stays on: other users of the machine could otherwise run
    code through the session.

    Args:
        num_cpus: logical CPUs of a local Ray: it may exceed the number of cores.
        object_store_memory: bytes of shared memory of a local Ray.
        dashboard: whether a local Ray serves its dashboard.
    """
    for key, value in _QUIET.items():
        os.environ.setdefault(key, value)
    import ray  # after the environment is set, and only where a session is wanted

    logging.getLogger("ray").setLevel(logging.ERROR)
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ray\..*")
        if os.environ.get("RAY_ADDRESS"):
            context = ray.init(logging_level=logging.ERROR, log_to_driver=False)
        else:
            folder = stack.enter_context(_session_folder())
            context = ray.init(
                address="local",
                num_cpus=num_cpus,
                object_store_memory=object_store_memory,
                include_dashboard=dashboard,
                logging_level=logging.ERROR,
                log_to_driver=False,
                _temp_dir=str(folder),
                _node_ip_address="127.0.0.1",
            )
        stack.callback(ray.shutdown)
        yield _describe(context.dashboard_url, ray)


def _describe(dashboard: str | None, ray) -> Session:
    """Return and print the addresses of the session just started."""
    node = next(node for node in ray.nodes() if node["Alive"])
    port = node.get("MetricsExportPort")
    found = Session(
        dashboard_url=f"http://{dashboard}" if dashboard else None,
        metrics_url=f"http://{node['NodeManagerAddress']}:{port}/metrics" if port else None,
        num_gpus=int(ray.cluster_resources().get("GPU", 0)),
    )
    hint = "" if os.environ.get("RAY_AUTH_MODE") == "disabled" else _TOKEN_HINT
    print(f"Ray dashboard: {found.dashboard_url + hint if dashboard else 'off'}", flush=True)
    print(f"Ray metrics:   {found.metrics_url or 'off'}", flush=True)
    return found


@contextmanager
def _session_folder() -> Iterator[Path]:
    """Yield a new private folder with a short path, and remove it and abandoned ones.

    Ray puts Unix sockets below it and their paths are limited to 107 bytes. A lock that the
    kernel drops with its holder tells folders in use from those of killed sessions.
    """
    base = Path(os.environ.get("RAY_TMPDIR") or _short_temporary_folder())
    base.mkdir(parents=True, exist_ok=True)
    prefix = f"ray-{os.getuid()}-"
    _remove_abandoned(base, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _short_temporary_folder() -> str:
    found = tempfile.gettempdir()
    return found if len(found) <= 24 else "/tmp"


def _remove_abandoned(base: Path, prefix: str) -> None:
    """Remove the folders below `base` whose session no longer holds its lock."""
    for lock_file in base.glob(f"{prefix}*/{_LOCK}"):
        try:
            # A session that has just made its folder may not hold its lock yet.
            if time.time() - lock_file.stat().st_mtime < _STALE_AFTER_S:
                continue
            with lock_file.open() as lock:
                if _try_lock(lock):
                    shutil.rmtree(lock_file.parent, ignore_errors=True)
        except OSError:
            continue


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
