"""Where the results of an experiment lie, and whose they are.

Each experiment has a folder of its own, `results/<name>`. Its `experiment.json` says which files,
which overrides and which seed it belongs to: an experiment that differs in one of them is refused
the folder, so that no result is ever replaced by one of another experiment.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline import disk
from pipeline.config import MAX_NAME_LENGTH, Experiment
from pipeline.errors import ConfigError

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
    own_name: str | None,
) -> Identity:
    """Return the identity of `experiment`, read from `files` and then changed by `overrides`.

    The name is the override `name`, else the key `name` of the last file (`own_name`: that of an
    earlier one names the experiment that the last file changes), else the stem of the last file.
    Other overrides are told apart by a suffix: `-seed<seed>`, or some digits of their digest.

    Raises:
        ConfigError: the name is reserved.
    """
    if "name" in overrides:
        name = str(experiment.name)
    else:
        name = own_name or re.sub(r"[^A-Za-z0-9_\-]", "_", files[-1].stem).lstrip("_-")
        name = (name or "experiment")[: MAX_NAME_LENGTH - 40] + _suffix(overrides)
    if name in RESERVED:
        raise ConfigError(
            f"{files[-1]}: name: expected a name other than {', '.join(RESERVED)}, got {name!r}"
            " (folders that have another use); give the experiment another `name`"
        )
    return Identity(name, tuple(map(str, files)), dict(overrides), experiment.seed)


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
        ConfigError: it holds the results of other files, of other overrides or of another seed.
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
    return json.loads(json.dumps(dict(overrides), default=str))


def _told(identity: Identity) -> str:
    changed = {key: value for key, value in identity.overrides.items() if key != "seed"}
    how = f" --config {json.dumps(_plain(changed))[:80]}" if changed else ""
    return f"{' '.join(identity.files)}{how} with seed {identity.seed}"


def read(results: Path) -> dict[str, Any] | None:
    """Return the record of the experiment that `results` belongs to, or None if it has none."""
    try:
        content = json.loads((results / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    wanted = {"files": list, "overrides": dict, "seed": int}
    if not isinstance(content, dict):
        return None
    whole = all(isinstance(content.get(key), kind) for key, kind in wanted.items())
    return content if whole else None


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
