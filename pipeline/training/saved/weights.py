"""Save a trained model as a portable checkpoint folder, and start a run from one."""

import io
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import CheckpointError
from pipeline.runtime.digest import config_digest
from pipeline.runtime.provenance import write_json
from pipeline.training.config import Run
from pipeline.training.saved import checkpoint
from pipeline.training.saved.divided import own_columns


def save_model(
    folder: Path,
    state: dict[str, Tensor],
    run: Run,
    *,
    seed: int,
    description: dict[str, Any],
) -> None:
    """Write model.pt and then model.json to a new `folder` (see `checkpoint`)."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # In memory first: the description holds size and checksum of the bytes that are written.
    buffer = io.BytesIO()
    torch.save({key: value.cpu() for key, value in state.items()}, buffer)
    content = buffer.getvalue()
    (folder / checkpoint.WEIGHTS).write_bytes(content)
    write_json(
        folder / checkpoint.DESCRIPTION,
        {
            "schema_version": checkpoint.SCHEMA_VERSION,
            "kind": run.task,
            "model": run.model.model_dump(mode="json"),
            "description": description,
            "config_digest": config_digest(run),
            "seed": seed,
            "size": len(content),
            "crc32": checkpoint.checksum(content),
        },
    )


def load_initial(path: Path, run: Run, model: nn.Module) -> None:
    """Replace parameters and buffers of `model` by those of the checkpoint in folder `path`.

    Raises:
        CheckpointError: see `check_checkpoint`; or other shapes than those of `model`.
    """
    checkpoint.check_checkpoint(path, run)
    file = Path(path) / checkpoint.WEIGHTS
    device = next(model.parameters()).device
    try:
        whole = torch.load(file, map_location=device, weights_only=True)
        model.load_state_dict(own_columns(whole, model))
    except RuntimeError as error:
        # Torch tells of shapes in several lines.
        detail = " ".join(str(error).split())
        raise CheckpointError(f"{file}: expected the parameters of the run: {detail}") from None
