"""Where an unfinished store lies, and how a finished one takes its place.

<store>.partial/key.json           digest of configuration, seed and source, and how many tasks
<store>.partial/store/             the store being written
<store>.partial/publishing.json    there while the arrays are moved to their place
<store>.partial.<digest>/          an unfinished store of another configuration, kept aside

If the store is a link or a mount, all of it lies in there, as `.partial`.
"""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline.runtime import disk, kept, ours
from pipeline.runtime.digest import config_digest
from pipeline.runtime.provenance import write_json
from pipeline.store import place
from pipeline.store.config import Dataset, Trajectory

D = TypeVar("D", Dataset, Trajectory)
_PUBLISHING = "publishing.json"


@dataclass(frozen=True)
class Plan(ABC, Generic[D]):
    """What to generate and where; picklable, so that it travels to the workers."""

    dataset: D
    seed: int
    source: str
    store: Path

    @property
    def partial(self) -> Path:
        """Return the folder of the unfinished run."""
        return place.unfinished(self.store)

    @property
    def digest(self) -> str:
        """Return the digest that a resumed run must share with the interrupted one.

        It covers all settings, neutral ones too: other ranks cut a flow into other files.
        """
        complete = self.dataset.model_dump(mode="json")
        return config_digest(complete, self.seed, self.source)

    @property
    def name(self) -> str:
        """Return the name of the data set."""
        return self.store.name.removesuffix(".zarr")

    @property
    @abstractmethod
    def tasks(self) -> tuple[str, int]:
        """Return the folder of the records of finished tasks, and how many tasks there are."""


def claim(plan: Plan[Any], create: Callable[[Path], None]) -> bool:
    """Make `plan.partial` the folder of this plan; return whether an earlier run of it left work.

    The unfinished store of another configuration is kept aside, and one of this configuration that
    was kept aside is taken up again. `create` fills a new folder; it appears by renaming.

    Raises:
        PlaceError: what lies there, or at the store's place, was not made by the pipeline.
    """
    place.check_place(plan.store)
    partial = plan.partial
    for leftover in partial.parent.glob(f".{partial.name}.*.tmp"):
        disk.remove(leftover)
    # First whatever is there goes aside, then what was set aside earlier comes back in its place.
    if os.path.lexists(partial) and (digest := place.digest_of(partial)) != plan.digest:
        _set_aside(partial, digest)
    mine = _aside(partial, plan.digest)
    if mine.is_dir() and not partial.exists() and place.digest_of(mine) == plan.digest:
        os.replace(mine, partial)
    others = [path for path in partial.parent.glob(f"{partial.name}.*") if _is_aside(path)]
    kept.trim(others, f"generate {plan.name}")
    if partial.exists():
        _take_back(plan)
        return True
    begin(plan, create)
    return False


def begin(plan: Plan[Any], create: Callable[[Path], None]) -> None:
    """Make the folder of `plan` anew."""
    partial = plan.partial
    disk.remove(partial)
    # Filled under another name: a folder without its key could not be told from a stranger's.
    new = partial.with_name(f".{partial.name}.{os.getpid()}.tmp")
    new.mkdir(parents=True)
    records, total = plan.tasks
    try:
        create(new)
        write_json(new / place.KEY, {"digest": plan.digest, "records": records, "total": total})
        os.replace(new, partial)
    except BaseException:
        disk.remove(new)
        raise


def put_in_place(plan: Plan[Any]) -> None:
    """Move the finished store into the folder `plan.store`, replacing the store that is there.

    `zarr.json`, by which readers know a store, goes first and comes last. The folder itself stays:
    it may be a link or a mount, and is the user's.
    """
    finished, store = plan.partial / "store", plan.store
    # From here to the end of the last rename a kill leaves arrays in both places: `_take_back`.
    write_json(plan.partial / _PUBLISHING, {"arrays": place.arrays(finished)})
    store.mkdir(parents=True, exist_ok=True)
    (store / "zarr.json").unlink(missing_ok=True)
    new = place.arrays(finished)
    for name in place.arrays(store):
        disk.remove(store / name)
    for name in new:
        os.replace(finished / name, store / name)
    os.replace(finished / "zarr.json", store / "zarr.json")


def finish(plan: Plan[Any]) -> None:
    """Remove the folder of a plan whose store is in place and recorded."""
    disk.remove(plan.partial)


def _take_back(plan: Plan[Any]) -> None:
    """Undo a publication that was interrupted: move the arrays that are there already back."""
    found = ours.read_json(plan.partial / _PUBLISHING)
    if found is None:
        return
    unfinished = plan.partial / "store"
    unfinished.mkdir(exist_ok=True)
    for name in found["arrays"]:
        # What that publication has moved: it is there, and no longer here.
        if not (unfinished / name).exists() and (plan.store / name).exists():
            os.replace(plan.store / name, unfinished / name)
    if not (unfinished / "zarr.json").exists() and (plan.store / "zarr.json").exists():
        os.replace(plan.store / "zarr.json", unfinished / "zarr.json")
    (plan.partial / _PUBLISHING).unlink()


def _set_aside(partial: Path, digest: str) -> None:
    key = ours.read_json(partial / place.KEY) or {}
    if isinstance(key.get("records"), str):
        done = sum(1 for _ in (partial / key["records"]).glob("[0-9]*.json"))
        kept.set_reached(partial, f"{done} of {key.get('total')} {key['records']}")
    target = _aside(partial, digest)
    disk.remove(target)
    os.replace(partial, target)
    # Renaming leaves the time; the age of what is kept counts from now.
    os.utime(target)


def _aside(partial: Path, digest: str) -> Path:
    return partial.with_name(f"{partial.name}.{kept.short(digest)}")


def _is_aside(path: Path) -> bool:
    is_named = re.fullmatch(r".*\.partial\.[0-9a-f]{16}", path.name) is not None
    return is_named and not path.is_symlink() and (path / place.KEY).is_file()
