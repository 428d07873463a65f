"""Where the numbers of a report come from: stages, machines, and the time that they span."""

import json
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pipeline.aggregate.read.quantities import duration, size
from pipeline.aggregate.read.results import Results

Row = dict[str, Any]
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def stages(results: Results) -> list[Row]:
    """Return a row for each stage that finished: from what, when, where and at which cost."""
    # One letter each; machines beyond the last letter are "other".
    names = dict(zip(_machines(results), _LETTERS, strict=False))
    rows = []
    for record in results.records():
        commit = record.get("commit")
        rows.append(
            {
                "stage": record["stage"],
                "name": record["name"],
                "commit": f"{commit[:10]}{' + edits' if record.get('dirty') else ''}"
                if commit
                else "unknown",
                "seed": record["seed"],
                "config_digest": record["config_digest"][:10],
                "source_digest": record["source_digest"][:10],
                "started": minute(record["started"]),
                "wall_time": duration(record["wall_time_s"]),
                "memory": _megabytes(record["peak_memory_mb"]),
                "machine": names.get(_machine(record), "other"),
            }
        )
    return rows


def _megabytes(number: float | None) -> str:
    # A machine that does not tell costs no result (see `provenance.record`).
    return "unknown" if number is None else f"{number:,.0f} MB"


def environments(results: Results) -> list[Row]:
    """Return each distinct pair of hardware and versions once, the most frequent first."""
    rows = []
    for letter, text in zip(_LETTERS, _machines(results), strict=False):
        hardware, versions = json.loads(text)
        memory = hardware.get("memory_mb")
        rows.append(
            {
                "letter": letter,
                "hardware": f"{hardware.get('processor', 'unknown processor')},"
                f" {hardware.get('cores', '?')} cores, {size(memory * 2**20 if memory else None)}",
                "versions": ", ".join(f"{key} {value}" for key, value in versions.items()),
            }
        )
    return rows


def _machines(results: Results) -> list[str]:
    return [
        text for text, _ in Counter(map(_machine, results.records())).most_common(len(_LETTERS))
    ]


def _machine(record: Row) -> str:
    return json.dumps([record["hardware"], record["versions"]], sort_keys=True)


def computed(results: Results) -> str:
    """Return from when to when the results were computed (UTC), or "never"."""
    begun, ended = [], []
    for record in results.records():
        # A record made by hand may hold another notation of time.
        with suppress(ValueError, OverflowError):
            start = datetime.fromisoformat(record["started"]).replace(tzinfo=None)
            begun.append(start)
            ended.append(start + timedelta(seconds=record["wall_time_s"]))
    if not begun:
        return "never"
    return f"{minute(min(begun).isoformat())} to {minute(max(ended).isoformat())} UTC"


def minute(time: str) -> str:
    """Return an ISO 8601 time to the minute, without its T."""
    return time[:16].replace("T", " ")
