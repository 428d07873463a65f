"""Writing a comparison: three files in a folder, none of which replaces a file of another kind."""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.aggregate.across.experiments import Member
from pipeline.aggregate.across.page import GENERATOR, compared_page
from pipeline.aggregate.across.table import compared_table
from pipeline.aggregate.across.text import HEADING, compared_text
from pipeline.errors import ResultError
from pipeline.runtime import disk

PAGE, TABLE, TEXT = "compared.html", "compared.parquet", "compared.txt"
_MARK = b"pipeline.aggregate"
_HEAD_BYTES = 4096


def write(members: Sequence[Member], folder: Path) -> None:
    """Write compared.html, compared.parquet and compared.txt to `folder`.

    Raises:
        ResultError: one of them is there and is not such a file, or cannot be written.
    """
    # All three are looked at before any of them is written.
    check_free(folder)
    page = folder / PAGE
    text, html = compared_text(members, page), compared_page(members)
    # pandas writes no metadata of ours: by it the table is recognised.
    table = pa.Table.from_pandas(compared_table(members), preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _MARK: b"compared"})
    try:
        with disk.explained(folder):
            with disk.replacing(folder / TABLE) as temporary:
                pq.write_table(table, temporary)
            for name, content in ((TEXT, text), (PAGE, html)):
                with disk.replacing(folder / name) as temporary:
                    temporary.write_text(content, encoding="utf-8")
    except OSError as error:
        raise ResultError(
            f"{folder}: expected a folder to write to, got: {error.strerror}; give another --output"
        ) from None


def check_free(folder: Path) -> None:
    """Raise `ResultError` unless every file to be written is free, or one of an earlier comparison.

    A link is never followed, nor replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise ResultError(f"{folder}: expected a folder, got a file; give another --output")
    for name, ours in _OURS.items():
        path = folder / name
        if os.path.lexists(path) and not _is_ours(path, ours):
            raise ResultError(
                f"{path}: expected no file, or one that this command made, got another;"
                " move it away or give another --output"
            )


def _is_ours(path: Path, ours: Callable[[Path], bool]) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode) and ours(path)
    except (OSError, pa.ArrowException):
        return False


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


_OURS: dict[str, Callable[[Path], bool]] = {
    PAGE: lambda path: f'<meta name="generator" content="{GENERATOR}">'.encode() in _head(path),
    TEXT: lambda path: _head(path).startswith(f"{HEADING}\n".encode()),
    TABLE: lambda path: _MARK in (pq.read_schema(path).metadata or {}),
}
