"""`python -m cluster.dashboard`, real: Ray, Prometheus, a joining driver, and the end of it all."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
JOIN = """
import time
from cluster.ray_cluster import session
with session(1) as joined:
    import ray
    from ray.util.metrics import Gauge
    @ray.remote
    def publish():
        gauge = Gauge("pipeline_train_loss", "loss of a run", tag_keys=("run",))
        for _ in range(600):
            gauge.set(0.25, tags={"run": "joined_run"})
            time.sleep(0.5)
    print("joined", joined.address, flush=True)
    ray.get(publish.remote())
"""

JOIN_BY_ARGUMENT = """
import sys
from cluster.ray_cluster import session
with session(1, address=sys.argv[1]) as joined:
    print("joined", joined.address)
"""


def wait_for(found, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return result


def start(tmp_path, environment, *command):
    log = tmp_path / f"{len(list(tmp_path.iterdir()))}.txt"
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, text=True,
        stdout=log.open("w"), stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    return process, log


def value_in(log, process, pattern):
    def found():
        assert process.poll() is None, log.read_text()
        return re.search(pattern, log.read_text())

    return wait_for(found)[1]


def get(url, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as reply:
        return reply.read().decode()


@pytest.fixture
def environment(tmp_path):
    plain = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    # Ray keeps its token in HOME; both processes must share one.
    (tmp_path / "home").mkdir()
    return plain | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path / "home")}


def end(process):
    """Ask the dashboard to stop; return what is left of it and of all that it started."""
    family = [process, *psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    gone, alive = psutil.wait_procs(family[1:], timeout=30)
    return alive


def test_without_prometheus_it_says_what_is_missing(tmp_path, environment):
    program = Path(sys.executable).parent
    environment["PATH"] = os.pathsep.join(
        [str(program), *(x for x in environment["PATH"].split(os.pathsep) if not has_it(x))]
    )
    process, log = start(tmp_path, environment, "-m", "cluster.dashboard")
    try:
        value_in(log, process, r"RAY_ADDRESS=(127\.0\.0\.1:\d+)")
        text = log.read_text()
        assert "no program `prometheus` on PATH" in text
        url = re.search(r"Ray dashboard: (http://127\.0\.0\.1:\d+)", text)[1]
        token = (tmp_path / "home/.ray/auth_token").read_text().strip()
        assert json.loads(get(f"{url}/api/grafana_health", token))["data"] == {
            "grafanaHost": "DISABLED"
        }
        address = re.search(r"RAY_ADDRESS=(\S+);", text)[1]
        joiner, joined = start(tmp_path, environment, "-c", JOIN_BY_ARGUMENT, address)
        assert joiner.wait(timeout=120) == 0, joined.read_text()
        assert f"joined {address}" in joined.read_text()
    finally:
        assert not end(process)


def has_it(folder):
    return (Path(folder) / "prometheus").exists()


@pytest.mark.skipif(not shutil.which("prometheus"), reason="needs Debian's package prometheus")
def test_a_later_run_joins_and_its_time_series_are_drawn(tmp_path, environment):
    process, log = start(tmp_path, environment, "-m", "cluster.dashboard")
    try:
        address = value_in(log, process, r"RAY_ADDRESS=(127\.0\.0\.1:\d+)")
        text = log.read_text()
        dashboard = re.search(r"Ray dashboard: (\S+)", text)[1]
        series = re.search(r"Time series: +(\S+)", text)[1]
        token = (tmp_path / "home/.ray/auth_token").read_text().strip()
        for service in ("prometheus", "grafana"):
            assert json.loads(get(f"{dashboard}/api/{service}_health", token))["result"]
        joiner, joined = start(tmp_path, environment | {"RAY_ADDRESS": address}, "-c", JOIN)
        try:
            assert value_in(joined, joiner, r"joined (\S+)") == address
            wait_for(lambda: "joined_run: 0.25" in get(f"{series}/"))
            panel = f"{series}/d-solo/rayDefaultDashboard/x?panelId=41&from=now-5m&to=now"
            # Ray's own series of a node may take minutes to appear: any of the panel's will do.
            wait_for(lambda: "<polyline" in get(panel))
        finally:
            joiner.kill()
            joiner.wait()
    finally:
        assert not end(process)
    assert "dashboard: stopped" in log.read_text()
