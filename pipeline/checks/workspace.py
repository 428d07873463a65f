"""Where the results of an experiment lie, and whose they are.

Each experiment has a folder of its own, `results/<name>`. Its `experiment.json` says which files,
which overrides and which seed it belongs to: an experiment that differs in one of them is refused
the folder, so that no result is ever replaced by one of another experiment.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.config import Experiment
from pipeline.errors import ConfigError
from pipeline.kinds import MAX_NAME_LENGTH
from pipeline.reading.documents import Document
from pipeline.runtime import disk, ours

RECORD = "experiment.json"
# Folders of `results` and `logs` that have another use, today or before experiments had names.
RESERVED = (
    "train", "search", "certify", "state", "compared", "generate", "benchmark", "slurm"
)  # fmt: skip
_OLD = ("train", "search", "certify", "state")
_OLD_FILES = ("summary.parquet", "summary.txt", "report.html", "run.json")


@dataclass(frozen=True)
class Identity:
    """What tells experiments apart: the name, and what its folder of results belongs to."""

    name: str
    files: tuple[str, ...]
    overrides: Mapping[str, Any]
    seed: int

    @property
    def results(self) -> Path:
        """Return the folder of the experiment's results."""
        return Path("results") / self.name


def identify(
    experiment: Experiment,
    files: Sequence[Path],
    overrides: Mapping[str, Any],
    last: Document | None = None,
) -> Identity:
    """Return the identity of `experiment`, read from `files` and then changed by `overrides`.

    The name is the override `name`, else the key `name` of the `last` file (that of an earlier one
    names the experiment that the last file changes), else the stem of the last file. Other
    overrides are told apart by a suffix: `-seed<seed>`, or some digits of their digest.

    Args:
        experiment: the whole of it.
        files: as on the command line.
        overrides: those of `--config`; an empty `name` is none.
        last: the content of the last file.

    Raises:
        ConfigError: the name is reserved.
    """
    own_name = last.content.get("name") if last else None
    changed = {key: value for key, value in overrides.items() if (key, value) != ("name", None)}
    if "name" in changed:
        name, where = str(experiment.name), "--config: name"
    else:
        # A file may be called anything, a folder of results may not.
        stem = re.sub(r"[^A-Za-z0-9_\-]", "_", files[-1].stem).lstrip("_-") or "experiment"
        # Room for the suffix: a seed of 20 digits and the digest of other overrides.
        name = (own_name or stem)[: MAX_NAME_LENGTH - 40] + _suffix(changed)
        where = f"{last.place(('name',))}: name" if last and own_name else f"{files[-1]}: its name"
    # Where case does not count in the names of files, `Train` is the folder `train`.
    if name.lower() in RESERVED:
        raise ConfigError(
            f"{where}: expected a name other than {', '.join(RESERVED)}, got {name!r}"
            " (folders that have another use); give the experiment another `name`"
        )
    return Identity(name, tuple(map(str, files)), changed, experiment.seed)


def _suffix(overrides: Mapping[str, Any]) -> str:
    others = {key: value for key, value in overrides.items() if key != "seed"}
    suffix = f"-seed{overrides['seed']}" if "seed" in overrides else ""
    if others:
        text = json.dumps(others, sort_keys=True, default=str)
        suffix += f"-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return suffix


def check_owner(identity: Identity) -> None:
    """Return if the folder of results is free, or belongs to this very experiment.

    Raises:
        ConfigError: it holds the results of other files, of other overrides or of another seed,
            or a damaged record.
    """
    record = read(identity.results)
    if record is None:
        return
    held = Identity(
        identity.name,
        tuple(map(str, record["files"])),
        record["overrides"],
        record["seed"],
    )
    if (held.files, held.seed) == (identity.files, identity.seed) and (
        _plain(held.overrides) == _plain(identity.overrides)
    ):
        return
    raise ConfigError(
        f"{identity.results}: expected results of {_told(identity)}, got those of {_told(held)};"
        " give this experiment another name (key `name` of its last file, or --config name=...),"
        f" or move {identity.results} away"
    )


def _plain(overrides: Mapping[str, Any]) -> Any:
    # As the record has it: a tuple that was written is read as a list.
    return json.loads(json.dumps(dict(overrides), default=str))


def _told(identity: Identity) -> str:
    changed = {key: value for key, value in identity.overrides.items() if key != "seed"}
    how = f" --config {json.dumps(_plain(changed))[:80]}" if changed else ""
    return f"{' '.join(identity.files)}{how} with seed {identity.seed}"


def read(results: Path) -> dict[str, Any] | None:
    """Return the record of the experiment that `results` belongs to, or None if it has none.

    It is written in one step: a kill leaves none or a whole one.

    Raises:
        ConfigError: there is something else, which does not say whose the results are.
        PlaceError: a link or a folder is there.
    """
    path = results / RECORD
    disk.check_file(path)
    if not os.path.lexists(path):
        return None
    content = ours.read_json(path) or {}
    wanted = {"files": list, "overrides": dict, "seed": int}
    # An experiment of no file at all cannot be told from another.
    if content.get("files") and all(isinstance(content.get(x), wanted[x]) for x in wanted):
        return content
    raise ConfigError(
        f"{path}: expected the record of an experiment of this pipeline, got a file that is damaged"
        " or of another program; move it away (results whose own records fit this experiment are"
        f" then used; any others: move {results} away)"
    )


def begin(identity: Identity, experiment: Experiment, command: str) -> None:
    """Write down that `command` starts to make the results of `experiment`, and when.

    experiment.json: {"schema_version": 1, "name", "files", "overrides", "seed", "command",
    "started" (UTC), "config" (the experiment with all defaults)}.
    """
    content = asdict(identity) | {
        "schema_version": 1,
        "command": command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": experiment.model_dump(mode="json"),
    }
    text = json.dumps(content, indent=1, default=str) + "\n"
    with disk.replacing(identity.results / RECORD) as temporary:
        temporary.write_text(text, encoding="utf-8")


def old_layout(identity: Identity) -> str | None:
    """Return one line about results made before experiments had names, or None without any."""
    root = Path("results")
    found = [name for name in _OLD if (root / name).is_dir()]
    found += [name for name in _OLD_FILES if (root / name).is_file()]
    if not found:
        return None
    return (
        f"results/{{{','.join(found)}}}: made before experiments had their own folders; kept, not"
        f" used: this experiment's results lie in {identity.results}. To take them over:"
        f" mkdir -p {identity.results}; mv {' '.join(f'results/{name}' for name in found)}"
        f" {identity.results}"
    )
