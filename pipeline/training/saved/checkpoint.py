"""Whether a checkpoint folder can start a given run (standard library only, no torch).

    checkpoint/model.json    schema_version 1, kind ("pinn" or "operator"), model (configuration),
                             description (shapes, normalisation), config_digest, seed, and size
                             and CRC-32 of model.pt
    checkpoint/model.pt      the parameters and buffers, a state_dict for torch.load(weights_only)

The Snakefile imports this module at every parse.
"""

import json
import zlib
from pathlib import Path
from typing import Any

from pipeline.errors import CheckpointError
from pipeline.reading.words import cut, show
from pipeline.training.config import Run

SCHEMA_VERSION = 1
DESCRIPTION = "model.json"
WEIGHTS = "model.pt"
_REMEDY = "give the checkpoint/ folder of a finished run with this model"


def check_checkpoint(path: Path, run: Run) -> None:
    """Return if the checkpoint in folder `path` is whole and holds a model like that of `run`.

    Raises:
        CheckpointError: a file is missing or damaged, or the model differs.
    """
    found = read_description(path)
    expected: dict[str, Any] = {"kind": run.task, "model": run.model.model_dump(mode="json")}
    if (shapes := run.shapes()) is not None:
        # An operator's shapes are those of its data, which the configuration does not tell.
        expected["description"] = shapes
    for key, value in expected.items():
        if found.get(key) != value:
            raise CheckpointError(
                f"{cut(str(path))}/{DESCRIPTION}: {key}: expected {json.dumps(value)},"
                f" got {cut(json.dumps(found.get(key)))}; {_REMEDY}"
            )


def read_description(path: Path) -> dict[str, Any]:
    """Return the content of model.json after checking it and the size and CRC-32 of model.pt.

    Raises:
        CheckpointError: a file is missing or damaged, or of another schema version.
    """
    path, shown = Path(path), cut(str(path))
    try:
        found = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
        version, size, crc = found["schema_version"], found["size"], found["crc32"]
    except OSError as error:
        raise CheckpointError(
            f"{shown}: expected a checkpoint folder, {DESCRIPTION}: {error.strerror}; {_REMEDY}"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"{shown}/{DESCRIPTION}: damaged; {_REMEDY}") from None
    if version != SCHEMA_VERSION:
        raise CheckpointError(
            f"{shown}/{DESCRIPTION}: expected schema_version {SCHEMA_VERSION}, got {show(version)};"
            " train the model again"
        )
    try:
        content = (path / WEIGHTS).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{shown}/{WEIGHTS}: {error.strerror}; {_REMEDY}") from None
    if (len(content), checksum(content)) != (size, crc):
        raise CheckpointError(
            f"{shown}/{WEIGHTS}: expected {size} bytes with CRC-32 {crc},"
            f" got {len(content)} with {checksum(content)}; the file is damaged"
        )
    return dict(found)


def checksum(content: bytes) -> str:
    """Return the CRC-32 of `content` as 8 hex digits."""
    return f"{zlib.crc32(content):08x}"
