"""A Ray session for one stage: connect to `RAY_ADDRESS`, or start Ray here and tear it down.

Never call `ray stop`: it matches processes on the whole machine. What is started here is a child
of the calling process and goes away with it, even if that is killed (see `ray_reaper`).
"""

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import ray_reaper
from pipeline.errors import PipelineError

OBJECT_STORE_BYTES = 128 * 2**20
_TOKEN_HINT = "  (asks once for the token: `ray get-auth-token`)"

# Read by Ray when it is imported or when it starts its processes; a user's own value wins.
_ENVIRONMENT = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    # Workers import torch, which takes a minute on a busy machine; runs may queue for CPUs.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_metrics_report_interval_ms": "2000",
}
# Ray's switch for machines that are no cluster, whatever its name says: all of its servers bind
# to the loopback interface instead of the first public one.
_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@dataclass(frozen=True)
class Session:
    """Where a running Ray can be joined and looked at (None if switched off); what it offers."""

    address: str
    folder: Path
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
    code through the session. Call it before anything imports `ray`.

    Args:
        num_cpus: logical CPUs of a local Ray: it may exceed the number of cores.
        object_store_memory: bytes of shared memory of a local Ray.
        dashboard: whether a local Ray serves its dashboard.

    Raises:
        PipelineError: no Ray answers at `RAY_ADDRESS`, or it has fewer than `num_cpus` CPUs.
    """
    local = not os.environ.get("RAY_ADDRESS")
    switches = _LOCAL if local or _is_loopback(os.environ["RAY_ADDRESS"]) else {}
    for key, value in (_ENVIRONMENT | switches | ({} if local else _authentication())).items():
        os.environ.setdefault(key, value)
    import ray

    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ray\..*")
        if local:
            folder = stack.enter_context(_session_folder())
            stack.callback(ray.shutdown)
            context = ray.init(
                address="local",
                num_cpus=num_cpus,
                object_store_memory=object_store_memory,
                include_dashboard=dashboard,
                _temp_dir=str(folder),
                **quiet,
            )
            stack.enter_context(ray_reaper.guard(folder))
        else:
            stack.callback(ray.shutdown)
            context = _connect(ray, num_cpus, quiet)
        yield _describe(context, ray)


def _is_loopback(address: str) -> bool:
    """Whether `address` is on this machine; Ray otherwise asks its public interface for it."""
    return address.startswith(("127.", "localhost:"))


def _authentication() -> dict[str, str]:
    """Return Ray's switch to token authentication if this user has a token.

    `ray start` makes that choice by itself, a connecting driver does not; a cluster that does not
    ask for the token ignores it.
    """
    given = any(key in os.environ for key in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    found = given or (Path.home() / ".ray" / "auth_token").exists()
    return {"RAY_AUTH_MODE": "token"} if found else {}


def _connect(ray: Any, num_cpus: int, quiet: dict[str, Any]) -> Any:
    """Connect to `RAY_ADDRESS`, which must offer `num_cpus` CPUs; return Ray's context."""
    where = f"RAY_ADDRESS={os.environ['RAY_ADDRESS']}"
    try:
        context = ray.init(**quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        cause = str(error).strip().splitlines()[0]
        raise PipelineError(
            f"{where}: expected a running Ray, got: {cause}; unset it to start one here"
        ) from error
    found = int(ray.cluster_resources().get("CPU", 0))
    if found < num_cpus:
        raise PipelineError(
            f"{where}: expected at least {num_cpus} CPUs, got {found};"
            " use a larger cluster or lower train.num_workers"
        )
    return context


def _describe(context: Any, ray: Any) -> Session:
    """Return and print the addresses of the session just started."""
    dashboard = context.dashboard_url
    node = next(node for node in ray.nodes() if node["Alive"])
    port = node.get("MetricsExportPort")
    found = Session(
        address=ray.get_runtime_context().gcs_address,
        folder=Path(context.address_info["session_dir"]),
        dashboard_url=f"http://{dashboard}" if dashboard else None,
        metrics_url=f"http://{node['NodeManagerAddress']}:{port}/metrics" if port else None,
        num_gpus=int(ray.cluster_resources().get("GPU", 0)),
    )
    hint = _TOKEN_HINT if dashboard and os.environ.get("RAY_AUTH_MODE") == "token" else ""
    head = os.environ.get("RAY_ADDRESS")
    elsewhere = f"as printed by the head of {head}" if head else "off"
    print(f"Ray dashboard: {found.dashboard_url or elsewhere}{hint}", flush=True)
    print(f"Ray metrics:   {found.metrics_url or 'off'}", flush=True)
    return found


@contextmanager
def _session_folder() -> Iterator[Path]:
    """Yield a new private folder, removed at the end.

    Ray puts Unix sockets below it and their paths are limited to 107 bytes: hence a short one.
    """
    temporary = tempfile.gettempdir()
    base = os.environ.get("RAY_TMPDIR") or (temporary if len(temporary) <= 24 else "/tmp")
    Path(base).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir=base))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
