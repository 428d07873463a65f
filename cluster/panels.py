"""Serves the time-series panels of the Ray dashboard from Prometheus, in place of Grafana.

The dashboard embeds each panel as `<RAY_GRAFANA_HOST>/d-solo/<dashboard>/...?panelId=41&...` and
Ray writes what a panel shows (PromQL with variables) as Grafana dashboards in JSON. Such a request
is answered here with a page that holds one SVG, `/d/<dashboard>` with one that holds all of them;
`/` shows the pipeline's own gauges.
"""

import json
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cluster.chart import Series, draw

Query = Mapping[str, list[str]]
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_POINTS = 240


@dataclass(frozen=True)
class Panel:
    """A chart: its title, unit and targets, pairs (PromQL, legend)."""

    title: str
    unit: str
    targets: tuple[tuple[str, str], ...]


# Shown on `/`. Ray prefixes the name of what an application exports with `ray_`.
_OVERVIEW = (
    Panel("Loss", "", (("ray_pipeline_train_loss", "{{run}}"),)),
    Panel(
        "Relative L2 error on held-out data", "", (("ray_pipeline_train_relative_l2", "{{run}}"),)
    ),
    Panel("Samples a second", "", (("ray_pipeline_train_samples_per_second", "{{run}}"),)),
    Panel("CPU", "%", (("avg by (instance) (ray_node_cpu_utilization)", "{{instance}}"),)),
    Panel("Memory", "bytes", (("sum by (instance) (ray_node_mem_used)", "{{instance}}"),)),
    Panel("Actors", "", (('sum by (State) (ray_actors{Source="gcs"})', "{{State}}"),)),
)


@contextmanager
def serve(port: int, prometheus: str, dashboards: Path) -> Iterator[None]:
    """Serve panels on 127.0.0.1:`port` while the block runs.

    Args:
        port: a free port.
        prometheus: URL of a Prometheus; it need not answer yet.
        dashboards: folder in which Ray writes its Grafana dashboards, now or later.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, text = answer(self.path, prometheus, dashboards)
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        # Requests come every few seconds: the screen is for what the dashboard says.
        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def answer(url: str, prometheus: str, dashboards: Path) -> tuple[int, str, str]:
    """Return (status, content type, text) for the path and query of a request."""
    path, _, text = url.partition("?")
    query = urllib.parse.parse_qs(text)
    if path == "/api/health":
        # What the Ray dashboard asks a Grafana before it shows panels.
        return 200, "application/json", json.dumps({"database": "ok"})
    place = re.fullmatch(r"/(d|d-solo)/([\w-]+)(/.*)?", path)
    try:
        if path == "/":
            drawn = [_panel(prometheus, query, one) for one in _OVERVIEW]
            return 200, "text/html", _page(drawn, query | {"refresh": ["10s"]})
        wanted = query.get("panelId", [None])[0]
        panels = find_panels(dashboards, place[2], wanted) if place else []
        if not panels:
            return 404, "text/plain", f"no such panel: {url}"
        return 200, "text/html", _page([_panel(prometheus, query, one) for one in panels], query)
    except (OSError, ValueError) as error:
        return 502, "text/plain", f"{prometheus}: expected an answer, got: {error}"


def find_panels(dashboards: Path, uid: str, wanted: str | None) -> list[Panel]:
    """Return the panel with the id `wanted`, or all panels, of the dashboard with this uid."""
    for file in sorted(dashboards.glob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["uid"] != uid:
            continue
        rows = content["panels"]
        # Collapsed rows keep their panels within themselves.
        every = [*rows, *(inner for row in rows for inner in row.get("panels", []))]
        return [
            Panel(
                panel["title"],
                (panel.get("yaxes") or [{}])[0].get("format") or "",
                tuple((one["expr"], one.get("legendFormat", "")) for one in panel["targets"]),
            )
            for panel in every
            if panel.get("targets") and wanted in (None, str(panel["id"]))
        ]
    return []


def substitute(expression: str, query: Query, seconds: float) -> str:
    """Return PromQL with Grafana's variables replaced; one that is not given matches everything."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name == "__range":
            return f"{max(1, int(seconds))}s"
        if name in ("__rate_interval", "__interval", "interval", "window"):
            return "1m"
        given = [x for x in query.get(f"var-{name}", []) if x and x not in ("$__all", "All")]
        # As PromQL matches: alternatives, or anything.
        return "|".join(given) if given else ".*"

    return re.sub(r"\$(?:(\w+)|\{(\w+)[^}]*\})", value, expression)


def moment(text: str, now: float) -> float:
    """Return the Unix time of Grafana's "now", "now-30m" or milliseconds.

    Raises:
        ValueError: `text` is none of them.
    """
    relative = re.fullmatch(r"now(?:-(\d+)([smhd]))?", text)
    if relative:
        return now - (int(relative[1]) * _SECONDS[relative[2]] if relative[1] else 0)
    return int(text) / 1000


def _panel(prometheus: str, query: Query, panel: Panel) -> str:
    """Return the SVG of a panel over the time that the request asks for."""
    now = time.time()
    start = moment(query.get("from", ["now-15m"])[0], now)
    end = moment(query.get("to", ["now"])[0], now)
    series: list[Series] = []
    for expression, legend in panel.targets:
        promql = substitute(expression, query, end - start)
        for found in _query_range(prometheus, promql, start, end):
            points = [(float(at), float(value)) for at, value in found["values"]]
            series.append(Series(_name(legend, found["metric"]), points))
    return draw(panel.title, panel.unit, series, start, end)


def _name(legend: str, labels: Mapping[str, str]) -> str:
    """Return `legend` with each {{label}} replaced by its value."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), legend)


def _query_range(prometheus: str, promql: str, start: float, end: float) -> list[dict[str, Any]]:
    """Return the matrix that Prometheus finds; raises OSError or ValueError if it finds none."""
    # As many points as a chart can show.
    step = max(5.0, (end - start) / _POINTS)
    form = urllib.parse.urlencode({"query": promql, "start": start, "end": end, "step": step})
    try:
        with urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{form}", timeout=10) as reply:
            found: list[dict[str, Any]] = json.load(reply)["data"]["result"]
            return found
    except urllib.error.HTTPError as error:
        raise ValueError(json.load(error).get("error", str(error))) from None


def _page(panels: list[str], query: Query) -> str:
    """Return a page of SVGs that reloads itself as often as the request says."""
    refresh = re.fullmatch(r"(\d+)([smhd])", query.get("refresh", [""])[0])
    seconds = int(refresh[1]) * _SECONDS[refresh[2]] if refresh else 0
    reload = f'<meta http-equiv="refresh" content="{seconds}">' if seconds else ""
    cells = "".join(f'<div class="cell">{svg}</div>' for svg in panels)
    # The only panel fills its frame; several stand side by side.
    style = (
        ".cell{height:100vh}svg{width:100%;height:100%}"
        if len(panels) == 1
        else "body{display:flex;flex-wrap:wrap}.cell{flex:1 1 400px;max-width:640px}svg{width:100%}"
    )
    return (
        f"<!doctype html><html><head><meta charset=utf-8>{reload}<title>Pipeline</title>"
        f"<style>body{{margin:0;background:#fff}}svg{{display:block}}{style}</style></head>"
        f"<body>{cells}</body></html>"
    )
