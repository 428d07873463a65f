"""One Ray for the stages of later runs, with its dashboard and time series: `make dashboard`.

Starts Ray on the loopback interface, Prometheus on the configuration that Ray writes (if the
program is installed) and the panels that the dashboard embeds (`cluster.panels`), prints where they
are and waits for Ctrl-C. All of it ends with this process, even if that is killed.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cluster import panels, ray_cluster, ray_reaper, ray_token
from pipeline.errors import PipelineError
from pipeline.runtime import terminal

_DEADLINE_S = 60.0
_MISSING = (
    "Time series:   off: no program `prometheus` on PATH (Debian, Ubuntu: apt-get install"
    " prometheus); the dashboard shows the present only"
)


def main() -> None:
    """Run until interrupted; see the module's docstring."""
    terminal.tolerate()
    try:
        with ExitStack() as stack:
            _start(stack)
            # Ray takes SIGTERM for a crash; here it is a request to stop, like Ctrl-C.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            threading.Event().wait()
    except KeyboardInterrupt:
        print("dashboard: stopped")
    except PipelineError as error:
        sys.exit(f"error: {error}")


def _start(stack: ExitStack) -> None:
    """Start everything on `stack` and print where it is."""
    external = os.environ.get("RAY_PROMETHEUS_HOST")
    program = None if external else shutil.which("prometheus")
    ports = configure(program is not None)
    # A Ray is to be started here, whichever one the variable names.
    os.environ.pop("RAY_ADDRESS", None)
    session = stack.enter_context(ray_cluster.session(num_cpus=os.cpu_count() or 1))
    if program:
        metrics = session.folder / "metrics"
        configuration = metrics / "prometheus/prometheus.yml"
        _await_file(configuration)
        stack.enter_context(run_prometheus(program, configuration, ports[0]))
        prometheus = os.environ["RAY_PROMETHEUS_HOST"]
        stack.enter_context(panels.serve(ports[1], prometheus, metrics / "grafana/dashboards"))
        print(f"Time series:   http://127.0.0.1:{ports[1]} (runs) and in the dashboard (machine)")
        print(f"Prometheus:    {prometheus}")
    else:
        print(f"Time series:   by {external}" if external else _MISSING)
    print(f"Join it with:  export {ray_token.export(session.address)}; snakemake", flush=True)
    if session.dashboard_url:
        forwarded = [
            session.dashboard_url.rsplit(":", 1)[1],
            *map(str, ports[1:] if program else ()),
        ]
        print(f"From afar:     {ray_cluster.tunnel(*forwarded)}", flush=True)


def configure(has_prometheus: bool) -> tuple[int, int]:
    """Tell Ray where its time series will be; return the ports of (Prometheus, panels).

    Ray reads these variables when its dashboard starts. A user's own Prometheus or Grafana wins;
    without any, the dashboard hides its empty panels.
    """
    # The usual ports of the two programs, so that a forwarded port is easy to remember.
    ports = free_port(9090), free_port(3000)
    if has_prometheus:
        os.environ["RAY_PROMETHEUS_HOST"] = f"http://127.0.0.1:{ports[0]}"
        os.environ.setdefault("RAY_GRAFANA_HOST", f"http://127.0.0.1:{ports[1]}")
    elif "RAY_PROMETHEUS_HOST" not in os.environ:
        os.environ.setdefault("RAY_GRAFANA_HOST", "DISABLED")
    return ports


def free_port(preferred: int) -> int:
    """Return `preferred` if it is free on the loopback interface, else any free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            # A port that a server has just left would otherwise count as taken for a minute.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise PipelineError("127.0.0.1: expected a free port, got none; end some programs")


@contextmanager
def run_prometheus(program: str, configuration: Path, port: int) -> Iterator[None]:
    """Run Prometheus on 127.0.0.1:`port` with its history in a folder that is removed at the end.

    Raises:
        PipelineError: it does not serve within a minute; the last line it wrote is quoted.
    """
    folder = Path(tempfile.mkdtemp(prefix="prometheus-"))
    log = folder / "log.txt"
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        process = subprocess.Popen(
            [program, f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL, stderr=stack.enter_context(log.open("w", encoding="utf-8")),
        )  # fmt: skip
        stack.callback(process.wait)
        stack.callback(process.terminate)
        stack.enter_context(ray_reaper.guard(folder))
        deadline = time.monotonic() + _DEADLINE_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                said = (
                    log.read_text(encoding="utf-8", errors="replace").splitlines() or ["nothing"]
                )[-1]
                raise PipelineError(f"{program}: expected it to serve on port {port}, got: {said}")
            time.sleep(0.1)
        yield


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _await_file(path: Path) -> None:
    """Return once `path` has content; raises `PipelineError` if it has none after a minute."""
    deadline = time.monotonic() + _DEADLINE_S
    while not (path.exists() and path.stat().st_size):
        if time.monotonic() > deadline:
            raise PipelineError(f"{path}: expected Ray's dashboard to write it, got nothing")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
