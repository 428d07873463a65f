"""The panels that stand in for Grafana: variables, times, charts and the server itself."""

import json
import re
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cluster import dashboard, panels
from cluster.chart import Series, draw, label
from pipeline.errors import PipelineError

DASHBOARD = {
    "uid": "rayDefaultDashboard",
    "panels": [
        {
            "id": 1001,
            "title": "a row",
            "panels": [
                {
                    "id": 41,
                    "title": "Cluster Utilization",
                    "yaxes": [{"format": "%"}],
                    "targets": [
                        {
                            "expr": 'cpu{SessionName=~"$SessionName",node=~"$Instance"}',
                            "legendFormat": "CPU of {{node}}",
                        }
                    ],
                }
            ],
        },
        {"id": 24, "title": "Node Count", "targets": [{"expr": "nodes", "legendFormat": "all"}]},
    ],
}


@contextmanager
def prometheus(result):
    """A server with Prometheus's range API; yields its URL and the queries it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, text = self.path.partition("?")
            asked.append(dict(urllib.parse.parse_qsl(text)))
            known = path == "/api/v1/query_range"
            body = {"data": {"result": result}} if known else {"error": "no such path"}
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "default.json").write_text(json.dumps(DASHBOARD))
    return tmp_path


def get(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return reply.read().decode()


def test_the_panel_that_the_dashboard_embeds(folder):
    values = [[1000.0 + 10 * index, str(10 * index)] for index in range(5)]
    with prometheus([{"metric": {"node": "n1"}, "values": values}]) as (url, asked):
        port = dashboard.free_port(0)
        with panels.serve(port, url, folder):
            assert json.loads(get(f"http://127.0.0.1:{port}/api/health")) == {"database": "ok"}
            page = get(
                f"http://127.0.0.1:{port}/d-solo/rayDefaultDashboard/default-dashboard?orgId=1"
                "&panelId=41&refresh=5s&from=1000000&to=1040000&var-SessionName=s1"
            )
    assert asked[0]["query"] == 'cpu{SessionName=~"s1",node=~".*"}'
    assert float(asked[0]["start"]) == 1000 and float(asked[0]["end"]) == 1040
    assert 'content="5"' in page and "Cluster Utilization" in page and "CPU of n1: 40 %" in page
    corners = re.search(r'<polyline points="([^"]+)"', page)[1].split()
    assert len(corners) == 5
    heights = [float(corner.split(",")[1]) for corner in corners]
    assert heights == sorted(heights, reverse=True) and heights[0] > heights[-1]


def test_a_whole_dashboard_and_an_unknown_panel(folder):
    with prometheus([]) as (url, _):
        status, _, page = panels.answer("/d/rayDefaultDashboard/?from=now-5m", url, folder)
        assert status == 200 and page.count("<svg") == 2 and page.count("No data") == 2
        assert panels.answer("/d-solo/rayDefaultDashboard/x?panelId=7", url, folder)[0] == 404
        assert panels.answer("/d-solo/../etc/x?panelId=41", url, folder)[0] == 404


def test_no_prometheus_is_said(folder):
    port = dashboard.free_port(0)
    status, _, text = panels.answer("/", f"http://127.0.0.1:{port}", folder)
    assert status == 502 and f"127.0.0.1:{port}: expected an answer" in text


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('x{a=~"$A"}', 'x{a=~"one|two"}'),
        ('x{a=~"${A}",b=~"$B"}', 'x{a=~"one|two",b=~".*"}'),
        ('x{c=~"$C"}', 'x{c=~".*"}'),
        ("rate(x[$__rate_interval])", "rate(x[1m])"),
        ("max_over_time(x[$__range])", "max_over_time(x[300s])"),
    ],
)
def test_variables(expression, expected):
    query = {"var-A": ["one", "two"], "var-C": ["$__all"]}
    assert panels.substitute(expression, query, 300.0) == expected


def test_times():
    assert panels.moment("now", 5000.0) == 5000.0
    assert panels.moment("now-1h", 5000.0) == 1400.0
    assert panels.moment("1700000000000", 5000.0) == 1700000000.0
    with pytest.raises(ValueError):
        panels.moment("yesterday", 5000.0)


def test_a_gap_is_a_gap_and_nan_is_none():
    times = [0, 1, 2, 3, 50, 51, 52]
    points = [(float(time), 1.0) for time in times] + [(53.0, float("nan"))]
    chart = draw("t", "", [Series("a", points)], 0.0, 60.0)
    assert chart.count("<polyline") == 2 and "nan" not in chart
    assert "&lt;b&gt;" in draw("<b>", "", [], 0.0, 1.0)


def test_many_series_are_counted():
    series = [Series(f"s{index}", [(0.0, 1.0), (1.0, float(index))]) for index in range(9)]
    chart = draw("t", "", series, 0.0, 1.0)
    assert chart.count("<polyline") == 9 and "(+ 3 more)" in chart


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1.5e9, "bytes", "1.5 GB"), (40.0, "%", "40 %"), (3.2e-5, "", "3.2e-05"), (4500, "", "4.5 k")],
)
def test_labels(value, unit, text):
    assert label(value, unit).strip() == text


@pytest.fixture
def environment(monkeypatch):
    for key in ("RAY_PROMETHEUS_HOST", "RAY_GRAFANA_HOST"):
        # Set and deleted, so that what the test sets is taken back as well.
        monkeypatch.setenv(key, "")
        monkeypatch.delenv(key)
    return monkeypatch


def test_ray_is_told_where_its_time_series_are(environment):
    ports = dashboard.configure(has_prometheus=True)
    assert dashboard.os.environ["RAY_PROMETHEUS_HOST"] == f"http://127.0.0.1:{ports[0]}"
    assert dashboard.os.environ["RAY_GRAFANA_HOST"] == f"http://127.0.0.1:{ports[1]}"


def test_without_prometheus_the_empty_panels_are_hidden(environment):
    dashboard.configure(has_prometheus=False)
    assert "RAY_PROMETHEUS_HOST" not in dashboard.os.environ
    assert dashboard.os.environ["RAY_GRAFANA_HOST"] == "DISABLED"


def test_a_grafana_of_the_user_wins(environment):
    environment.setenv("RAY_GRAFANA_HOST", "http://grafana:3000")
    dashboard.configure(has_prometheus=True)
    assert dashboard.os.environ["RAY_GRAFANA_HOST"] == "http://grafana:3000"


def test_a_program_that_fails_is_quoted(tmp_path):
    program = tmp_path / "prometheus"
    program.write_text("#!/bin/sh\necho bad configuration >&2; exit 1\n")
    program.chmod(0o755)
    port = dashboard.free_port(0)
    with (
        pytest.raises(PipelineError, match="got: bad configuration"),
        dashboard.run_prometheus(str(program), tmp_path / "x.yml", port),
    ):
        pass
