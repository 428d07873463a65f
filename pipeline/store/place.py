"""Whether a folder is free for a store, or holds one of ours that may be replaced (stdlib only).

A store may be a link to a folder on another file system: it is followed and kept, and so is the
folder that it leads to. What the pipeline did not make is never replaced; it is recognised by what
lies there: arrays, and the attributes that only a store of ours has.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import PlaceError
from pipeline.runtime import disk, ours

_GROUP = "zarr.json"
# In an unfinished store: what it will be (see `datagen.folder`).
KEY = "key.json"
# Of ours while a store is made, of Snakemake's, and what killed writers leave.
_PASSING = re.compile(
    r"\.partial(\..*)?|\.snakemake_timestamp|\..+\.\d+\.tmp|zarr\.[0-9a-f-]+\.partial"
)
_ATTRIBUTES = {"complete", "config_digest", "dataset", "schema_version"}


def unfinished(store: Path) -> Path:
    """Return the folder in which `store` is made: on its file system, to be moved by renaming."""
    # Beside it is another file system, from which nothing can be moved in by renaming.
    if store.is_symlink() or store.is_mount():
        return store / ".partial"
    return store.with_name(store.name + ".partial")


def check_place(store: Path) -> None:
    """Return if a store can be written to `store`: nothing is there, an empty folder, or our store.

    Raises:
        PlaceError: something else is there, or where the store is made (`unfinished`), a link leads
            to nothing, or nothing may be written.
    """
    disk.check_folder(store)
    partial = unfinished(store)
    disk.check_folder(partial.parent)
    if os.path.lexists(partial):
        digest_of(partial)
    for stranger in strangers(store):
        raise PlaceError(
            f"{store}: expected nothing, an empty folder or a store of this pipeline, got"
            f" {stranger.relative_to(store)}, which it did not make; move it away or rename the"
            " data set"
        )


def digest_of(partial: Path) -> str:
    """Return the digest of the run that left the unfinished store `partial`.

    Its record is there from the first moment: the folder gets its name when it is complete.

    Raises:
        PlaceError: something else is there, which no run of ours has left.
    """
    key = None if partial.is_symlink() else ours.read_json(partial / KEY)
    if key is None or not isinstance(key.get("digest"), str):
        raise PlaceError(
            f"{partial}: expected an unfinished store of this pipeline or nothing, got something"
            f" without a readable {KEY}; move it away"
        )
    return str(key["digest"])


def strangers(store: Path) -> Iterator[Path]:
    """Yield what the pipeline did not make in the folder `store`."""
    if not store.exists():
        return
    for path in sorted(store.iterdir()):
        if _PASSING.fullmatch(path.name):
            continue
        if path.name == _GROUP:
            if path.is_symlink() or not path.is_file() or _is_of_another(path):
                yield path
        elif not _is_array(path):
            yield path


def arrays(store: Path) -> list[str]:
    """Return the names of the arrays in the folder `store`."""
    return sorted(path.name for path in store.iterdir() if _is_array(path))


def _is_of_another(group: Path) -> bool:
    """Whether the metadata are those of another's store; damaged ones are `check_any_store`'s."""
    try:
        attributes = json.loads(group.read_text(encoding="utf-8")).get("attributes", {})
        return not set(attributes) >= _ATTRIBUTES
    except (OSError, ValueError, AttributeError, TypeError):
        return False


def _is_array(path: Path) -> bool:
    if path.is_symlink() or not (path / _GROUP).is_file():
        return False
    return {child.name for child in path.iterdir()} <= {_GROUP, "c"}
