"""The experiment in its files: later ones overlaid on earlier ones, every mistake one line.

    python -m pipeline.experiment FILE [OVERLAY ...]

checks files without starting anything: it prints what they hold, or one line for each mistake with
file, line, key, what was expected and what was found. Every Snakemake job reads the experiment, so
this imports pydantic and PyYAML and nothing heavier.
"""

import argparse
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.checks import workspace
from pipeline.checks.sizes import Room, misfits
from pipeline.config import Experiment
from pipeline.errors import ConfigError
from pipeline.reading import documents
from pipeline.reading.complaints import complaints
from pipeline.reading.documents import Document
from pipeline.reading.words import dotted

_MOST_LINES = 100
_COMMAND_LINE = "--config"


def load(*files: Path | str, overrides: Mapping[str, Any] | None = None) -> Experiment:
    """Return the experiment in `files`, later ones overlaid on earlier ones, then `overrides`.

    Raises:
        ConfigError: a file cannot be read or parsed, or its content is refused.
    """
    layers = read(files, overrides)
    return validate(merged(layers), layers)


def read(files: Iterable[Path | str], overrides: Mapping[str, Any] | None = None) -> list[Document]:
    """Return the content of the files, and of Snakemake's `--config` as a last one.

    Raises:
        ConfigError: the mistakes of all files that cannot be read, one a line.
    """
    layers, mistakes = [], []
    for file in files:
        try:
            layers.append(documents.read(file))
        except ConfigError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    if overrides:
        layers.append(Document(_COMMAND_LINE, {k: _typed(v) for k, v in overrides.items()}))
    return layers


def merged(layers: Sequence[Document]) -> dict[str, Any]:
    """Return the layers as one mapping, merged as Snakemake does."""
    whole: dict[str, Any] = {}
    for layer in layers:
        whole = _overlay(whole, layer.content)
    return whole


def validate(raw: Mapping[str, Any], layers: Sequence[Document] = ()) -> Experiment:
    """Return the experiment in the mapping `raw`, made of `layers`: they say where mistakes are.

    Raises:
        ConfigError: one line for each mistake, `file:line: key: expected ..., got ...`.
    """
    try:
        return Experiment.model_validate(raw)
    except ValidationError as error:
        found = list(complaints(error, Experiment))
    lines = [complain(layers, path, text) for path, text in found[:_MOST_LINES]]
    if len(found) > _MOST_LINES:
        lines.append(f"and {len(found) - _MOST_LINES:,} more mistakes")
    raise ConfigError("\n".join(lines))


def complain(layers: Sequence[Document], path: Sequence[int | str], text: str) -> str:
    """Return one line about the key at `path`, with the place where it got its value."""
    key = f"{dotted(path)}: " if path else ""
    if not layers:
        return f"{key}{text}"
    # The last of those that have most of the path.
    layer = max(reversed(layers), key=lambda layer: layer.depth(path))
    return f"{layer.place(path)}: {key}{text}"


def check_room(
    experiment: Experiment, layers: Sequence[Document], room: Room, *, is_elsewhere: bool = False
) -> None:
    """Return if each part of the experiment fits into `room`; runs may be `is_elsewhere`.

    Raises:
        ConfigError: one line for each number of workers, or size, that does not.
    """
    parts = experiment.model_copy(update={"runs": {}}) if is_elsewhere else experiment
    found = misfits(parts, room)
    if lines := [complain(layers, path, text) for path, text in islice(found, _MOST_LINES)]:
        raise ConfigError("\n".join(lines))


def room_here() -> Room:
    """Return the cores of this machine and its memory, which networks on a GPU do not need."""
    # Not above: every job reads the experiment, and only the first looks at the machine.
    from cluster import cores, memory

    has_gpu = any(Path("/dev").glob("nvidia[0-9]*"))
    # Two workers, the default, are slower on a single core and not wrong.
    return Room(max(2, cores.limit()), None if has_gpu else memory.limit(), "this machine")


def _overlay(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Merge as Snakemake does: mappings key by key, anything else replaced."""
    whole = dict(base)
    for key, value in top.items():
        both = isinstance(value, Mapping) and isinstance(whole.get(key), Mapping)
        whole[key] = _overlay(whole[key], value) if both else value
    return whole


def _typed(value: Any) -> Any:
    """Return a value of `--config`, in which Snakemake leaves all that is nested as text."""
    if isinstance(value, Mapping):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if isinstance(value, str):
        try:
            loader: Any = yaml.SafeLoader("")
            tag = loader.resolve(yaml.ScalarNode, value, (True, False))
            return loader.construct_object(yaml.ScalarNode(tag, value))
        except (yaml.YAMLError, ValueError):
            return value
    return value


def summary(experiment: Experiment, name: str) -> str:
    """Return a few lines about what an experiment holds and how many jobs it makes."""
    parts: dict[str, Mapping[str, object]] = {
        "data set": experiment.datasets,
        "run": experiment.runs,
        "bound": experiment.bounds,
    }
    lines = [f"experiment {name}, seed {experiment.seed}"]
    for what, section in parts.items():
        shown = ", ".join(list(section)[:5]) + (", ..." if len(section) > 5 else "")
        count = f"{len(section)} {what}" + ("" if len(section) == 1 else "s")
        lines.append(f"{count}: {shown}" if section else count)
    # A bound is searched for and certified; one job aggregates.
    jobs = len(experiment.datasets) + len(experiment.runs) + 2 * len(experiment.bounds) + 1
    return "\n".join([*lines, f"{jobs} jobs if nothing is done yet"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the files named on the command line; return 1 if there is any mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.experiment",
        description="Check an experiment without starting anything: print what it holds, or one"
        " line for each mistake (file, line, key, what was expected, what was found).",
        epilog="Every key is described in docs/configuration.md, and for editors in"
        " workflow/schemas/experiment.schema.json.",
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="an experiment, YAML or JSON; later files overlay it",
    )
    parser.add_argument(
        "--elsewhere",
        action="store_true",
        help="the jobs run on a cluster: do not compare them with the cores and memory of here",
    )
    found = parser.parse_args(arguments)
    try:
        layers = read(found.files)
        experiment = validate(merged(layers), layers)
        if not found.elsewhere:
            check_room(experiment, layers, room_here())
        owner = workspace.identify(experiment, [*map(Path, found.files)], {}, layers[-1])
        print(summary(experiment, owner.name))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # `... | head -1` ends this as it ends other commands, without a traceback.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
