"""The check of a store of any layout."""

from pathlib import Path

from pipeline.store import layout, trajectory


def check_any_store(path: Path) -> None:
    """Return if the store at `path` is complete and undamaged, whichever layout it has.

    Raises:
        StoreError: see `layout.check_store` and `trajectory.check_trajectory`.
    """
    if layout.read_attributes(path).get("layout") == trajectory.LAYOUT:
        trajectory.check_trajectory(path)
    else:
        layout.check_store(path)
