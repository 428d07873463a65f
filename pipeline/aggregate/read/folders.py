"""Finding the results of an experiment by its name, or by the path of its folder."""

from difflib import get_close_matches
from pathlib import Path

from pipeline.aggregate.read.asked import FINISHED, STARTED
from pipeline.errors import ResultError

ROOT = Path("results")
# What lay directly in `results` before experiments had names.
_OLD = ("train", "search", "certify", FINISHED)


def find(name: str) -> Path:
    """Return the folder of results called `name` in `results`, or at the path `name`.

    Raises:
        ResultError: there is none, or the results are of the layout before experiments had names.
    """
    # A name first: a folder of that name in the working directory is rarely meant.
    for folder in (ROOT / name, Path(name)):
        if folder.resolve() == ROOT.resolve() or folder.name == ROOT.name:
            _explain_old(folder)
        if _is_experiment(folder):
            return folder
    _explain_old(ROOT, beside=known())
    raise ResultError(f"{name}: expected an experiment with results, got none; {_choices(name)}")


def known() -> list[str]:
    """Return the names of the experiments in `results`."""
    if not ROOT.is_dir():
        return []
    return sorted(folder.name for folder in ROOT.iterdir() if _is_experiment(folder))


def data_of(results: Path) -> Path:
    """Return the folder of data sets beside the folder `results/<name>`."""
    return results.parent.parent / "data" if results.is_absolute() else _relative(results)


def _relative(results: Path) -> Path:
    # results/<name> -> data; ../other/results/<name> -> ../other/data.
    above = results.parent.parent if len(results.parts) > 1 else results.parent / ".."
    return above / "data"


def _is_experiment(folder: Path) -> bool:
    return any((folder / record).is_file() for record in (STARTED, FINISHED))


def _explain_old(folder: Path, beside: list[str] | None = None) -> None:
    """Raise if `folder` holds results directly, and no named experiments (`beside`)."""
    found = [name for name in _OLD if (folder / name).exists()]
    if beside or not found or (folder / STARTED).exists():
        return
    moved = " ".join(f"{folder}/{name}" for name in found)
    raise ResultError(
        f"{folder}: expected one folder an experiment, got results directly ({', '.join(found)}),"
        f" as before experiments had names; to take them over: mkdir {folder}/NAME; mv {moved}"
        f" {folder}/NAME"
    )


def _choices(name: str) -> str:
    if not (names := known()):
        return f"there are none in {ROOT}: run snakemake first"
    near = get_close_matches(Path(name).name, names)
    if near:
        return f"did you mean {' or '.join(near)}?"
    shown = ", ".join(names[:8])
    return f"in {ROOT}: {shown}" + (f" and {len(names) - 8} more" if len(names) > 8 else "")
