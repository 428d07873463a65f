"""What was asked for, read back from a folder of results: the experiment, by whom and when.

`experiment.json` is written when a run starts, `run.json` when a report was complete: each holds
the whole experiment with its defaults, so that no experiment file is needed.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.aggregate.read import files
from pipeline.aggregate.read.results import Asked
from pipeline.config import Experiment
from pipeline.errors import ResultError
from pipeline.runtime.failure import one_line

STARTED, FINISHED = "experiment.json", "run.json"
_UNKNOWN = "unknown"


def asked(results: Path) -> Asked:
    """Return who asked for the experiment of `results`; what is not recorded is "unknown".

    Never raises: a report without this is worth having.
    """
    name = results.resolve().name
    try:
        content = files.read_json(results / STARTED, "snakemake")
    except ResultError:
        return Asked(name)
    listed, overrides = content.get("files"), content.get("overrides")
    return Asked(
        _text(content.get("name")) if content.get("name") else name,
        tuple(map(_text, listed)) if isinstance(listed, list) else (),
        _overrides(overrides) if isinstance(overrides, dict) else _UNKNOWN,
        _text(content.get("command")),
        _text(content.get("started")),
    )


def experiment(results: Path) -> Experiment:
    """Return the experiment whose results lie in `results`.

    Raises:
        ResultError: neither record is there, or it is damaged or of another version.
    """
    # In this order: the first is written anew at every start, the second only at a good end.
    for name in (STARTED, FINISHED):
        try:
            content = files.read_json(results / name, "snakemake")
        except files.AbsentError:
            continue
        if "config" in content:
            return _validated(results / name, content["config"])
    raise files.AbsentError(
        f"{results}: expected {STARTED} (written when snakemake starts) or {FINISHED} (when it has"
        " finished), got neither; run snakemake for this experiment"
    )


def _validated(path: Path, raw: Any) -> Experiment:
    try:
        return Experiment.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ResultError(
            f"{path}: config: {key}: {one_line(first['msg'])[:200]}; expected an experiment of this"
            " version; run snakemake again"
        ) from None


def _overrides(overrides: dict[str, Any]) -> str:
    if not overrides:
        return "none"
    return one_line(", ".join(f"{key}={_value(value)}" for key, value in overrides.items()))


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _text(value: Any) -> str:
    return one_line(value) if isinstance(value, str) and value.strip() else _UNKNOWN
