"""A Ray session for one stage: join one that runs, or start Ray here and tear it down.

In a SLURM job of several nodes the other nodes join what starts here (see `ray_nodes`).

Never call `ray stop`: it matches processes on the whole machine. What is started here is a child
of the calling process and goes away with it, even if that is killed (see `ray_reaper`).
"""

import logging
import os
import re
import shlex
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import allocation, ray_address, ray_nodes, ray_reaper, ray_token
from pipeline.errors import ClusterError, PipelineError
from pipeline.runtime import private

OBJECT_STORE_BYTES = 128 * 2**20
# Ray puts Unix sockets below its folder, and their paths are limited to 107 bytes.
_LONGEST_BASE = 22
_LONGEST_TMPDIR = 60
# Ray opens its folder to everybody (0777), so that lies in one that is this user's alone.
_INNER = "r"

# Huge pages, where the system grants them on request: 5% of the time of a training step.
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}

# Read by Ray when it is imported, or by the processes that it starts; a user's own value wins.
_ENVIRONMENT = {
    **HUGE_PAGES,
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    # Only the wait for CPUs, which Ray then begins anew. After a node is lost it must be short: for
    # up to 20 s Ray still counts the node, and asks for workers that no node has room for.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "30",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Nothing restarts a control store that died: the driver ends, and its job is run again.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",
    "RAY_metrics_report_interval_ms": "2000",
}
# Ray's switch for machines that are no cluster, whatever its name says: all of its servers bind
# to the loopback interface instead of the first public one.
_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}

# What begins a line of Ray's logs, those of its Python and those of its C++ processes.
_LOGGED = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+\s+[A-Z]+ (\S+ -- )?|\[\d{4}-\d\d-\d\d [^\]]*\]\s*"
)
_QUOTING = re.compile(r"The last \d+ lines of ")
# Of those, the errors; and how a traceback ends.
_WRONG = re.compile(
    r"\S+ \S+\s+(ERROR|CRITICAL|FATAL) |\[\S+ \S+ [EFC] |([a-z_]\w*\.)*[A-Z]\w*(Error|Exception)\b"
)


@dataclass(frozen=True)
class Session:
    """Where a running Ray can be joined and looked at (None if switched off); what it offers."""

    address: str
    folder: Path
    dashboard_url: str | None
    metrics_urls: tuple[str, ...]
    num_gpus: int


@contextmanager
def session(
    num_cpus: int,
    *,
    min_cpus: int | None = None,
    address: str | None = None,
    object_store_memory: int = OBJECT_STORE_BYTES,
    dashboard: bool = True,
) -> Iterator[Session]:
    """Yield a Ray session with `num_cpus` logical CPUs, shut down on every exit path.

    Joins the Ray at `address` or else at `RAY_ADDRESS`, if either is set (its owner stops it).
    Otherwise starts one with free ports and a folder of its own, so that several sessions on one
    machine do not meet: on the loopback interface, or, in a SLURM job of several nodes, over all
    of them with an equal share of the CPUs on each. Prints the addresses of the dashboard and of
    the metrics endpoints. Ray's token authentication stays on: others could otherwise run code
    through the session. Call it before anything imports `ray`.

    Args:
        num_cpus: logical CPUs of a Ray that is started: they may exceed the number of cores.
        min_cpus: CPUs that a Ray that is joined must have; `num_cpus` if not given.
        address: "host:port", or "auto" for the Ray that runs on this machine; if empty, see above.
        object_store_memory: bytes of shared memory on each node of a Ray that is started.
        dashboard: whether a Ray that is started serves its dashboard.

    Raises:
        PipelineError: no Ray answers at the address, it has too few CPUs, or a node of the
            allocation did not join.
    """
    address = address or os.environ.get("RAY_ADDRESS", "").strip()
    if address == "local":  # Ray's word for none
        address = ""
    nodes = None if address else allocation.current()
    loopback = ray_address.is_loopback(address) if address else nodes is None
    switches = _LOCAL if loopback else {}
    # For the rest of the process: Ray reads them once, when it is imported.
    for key, value in (_ENVIRONMENT | switches | (ray_token.to_join() if address else {})).items():
        os.environ.setdefault(key, value)
    import ray

    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ray\..*")
        if address:
            stack.callback(ray.shutdown)
            context = _connect(ray, address, min_cpus or num_cpus, quiet)
        else:
            folder = stack.enter_context(private.scratch("ray-", _LONGEST_BASE, "RAY_TMPDIR"))
            stack.enter_context(ray_token.for_new_session(folder))
            # Python's own sockets between Ray's processes lie with other temporary files.
            if len(os.fsencode(tempfile.gettempdir())) > _LONGEST_TMPDIR:
                stack.enter_context(_variable("TMPDIR", str(folder)))
            stack.callback(ray.shutdown)
            context = _start(
                ray,
                num_cpus=nodes.share(num_cpus) if nodes else num_cpus,
                object_store_memory=object_store_memory,
                include_dashboard=dashboard,
                _node_ip_address=nodes.address if nodes else None,
                _temp_dir=str(folder / _INNER),
                **_quoted_python(),
                **quiet,
            )
            stack.enter_context(ray_reaper.guard(folder))
            if nodes:
                share = nodes.share(num_cpus)
                stack.enter_context(ray_nodes.joined(nodes, folder, share, object_store_memory))
        yield _describe(context, ray, address)


def tunnel(*ports: int | str) -> str:
    """Return the command that makes ports of this machine's loopback interface yours."""
    forwarded = " ".join(f"-L {port}:127.0.0.1:{port}" for port in ports)
    # A compute node is reached through the login node that the job was submitted on.
    login = os.environ.get("SLURM_SUBMIT_HOST", "")
    jump = f"-J {login} " if login not in ("", socket.gethostname()) else ""
    return f"ssh -N {forwarded} {jump}{os.environ.get('SLURMD_NODENAME') or socket.gethostname()}"


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable for the block and for the processes that it starts."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _quoted_python() -> dict[str, Any]:
    """Return the option by which Ray's workers find a Python whose path a shell would split."""
    quoted = shlex.quote(sys.executable)
    return {} if quoted == sys.executable else {"runtime_env": {"py_executable": quoted}}


def _start(ray: Any, **options: Any) -> Any:
    """Start Ray on this machine; return its context."""
    begun = time.monotonic()
    try:
        return ray.init(address="local", **options)
    except Exception as error:
        said = _why(error) or f"no answer within {time.monotonic() - begun:.0f} s"
        raise ClusterError(
            f"Ray: expected to start on {socket.gethostname()}, got: {said}; see that this"
            " machine has idle cores, memory, processes (ulimit -u) and room in /dev/shm and the"
            " temporary folder to spare, and start again"
        ) from error


def _why(error: Exception) -> str:
    """Return what Ray says went wrong: its last line, or "" if it quotes a log without an error.

    Of a process that did not start in time it quotes the end of the log, whatever that says: of a
    log only errors and the last lines of tracebacks count.
    """
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    if any(_LOGGED.match(line) or _QUOTING.match(line) for line in lines):
        lines = [_LOGGED.sub("", line) for line in lines if _WRONG.match(line)]
    elif not lines:
        lines = [type(error).__name__]
    return lines[-1][:300] if lines else ""


def _connect(ray: Any, address: str, num_cpus: int, quiet: dict[str, Any]) -> Any:
    """Connect to the Ray at `address`, which must offer `num_cpus` CPUs; return its context."""
    try:
        context = ray.init(address=ray_address.checked(address), **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        cause = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise PipelineError(
            f"Ray at {address}: expected a running Ray, got: {cause};"
            " unset RAY_ADDRESS (and ray_address) to start one here"
        ) from error
    # Otherwise Ray would wait for CPUs that nobody adds.
    found = int(ray.cluster_resources().get("CPU", 0))
    if found < num_cpus:
        raise PipelineError(
            f"Ray at {address}: expected at least {num_cpus} CPUs, got {found};"
            " use a larger cluster or lower train.num_workers"
        )
    return context


def _describe(context: Any, ray: Any, joined: str | None) -> Session:
    """Return and print the addresses of the session."""
    dashboard = context.dashboard_url
    ports = {
        node["NodeManagerAddress"]: node.get("MetricsExportPort")
        for node in ray.nodes()
        if node["Alive"]
    }
    found = Session(
        address=ray.get_runtime_context().gcs_address,
        folder=Path(context.address_info["session_dir"]),
        dashboard_url=f"http://{dashboard}" if dashboard else None,
        metrics_urls=tuple(f"http://{host}:{port}/metrics" for host, port in ports.items() if port),
        num_gpus=int(ray.cluster_resources().get("GPU", 0)),
    )
    hint = ray_token.hint() if dashboard else ""
    elsewhere = f"as printed by the head of {joined}" if joined else "off"
    print(f"Ray dashboard: {found.dashboard_url or elsewhere}{hint}", flush=True)
    if dashboard and "SLURM_JOB_ID" in os.environ and not joined:
        print(f"   from afar:  {tunnel(dashboard.rsplit(':', 1)[1])}", flush=True)
    print(f"Ray metrics:   {' '.join(found.metrics_urls) or 'off'}", flush=True)
    return found
