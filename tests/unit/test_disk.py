"""Files are whole or not there; a full disk is one line."""

import errno
import os
from pathlib import Path

import pytest

from pipeline import disk
from pipeline.errors import DiskError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with disk.replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole" and names(path.parent) == {"a.txt"}


def test_a_folder_replaces_an_older_one(tmp_path):
    (tmp_path / "a" / "old").mkdir(parents=True)
    with disk.replacing(tmp_path / "a") as temporary:
        (temporary / "new").mkdir(parents=True)
    assert names(tmp_path) == {"a"} and names(tmp_path / "a") == {"new"}


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, is_folder):
    path = tmp_path / "a"
    path.write_text("old")

    def write(temporary):
        if is_folder:
            temporary.mkdir()
        (temporary / "b" if is_folder else temporary).write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), disk.replacing(path) as temporary:
        write(temporary)
    assert names(tmp_path) == {"a"} and path.read_text() == "old"


def test_leftovers_of_killed_writers_are_swept(tmp_path):
    (tmp_path / ".a.txt.12.tmp").touch()
    (tmp_path / ".b.13.tmp").mkdir()
    (tmp_path / "a.txt").touch()
    disk.sweep(tmp_path)
    assert names(tmp_path) == {"a.txt"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(tmp_path, code):
    with pytest.raises(DiskError) as raised, disk.explained(tmp_path / "a"):
        try:
            raise OSError(code, os.strerror(code))
        except OSError:
            # As torch.save does.
            raise RuntimeError("unexpected position")  # noqa: B904
    text = str(raised.value)
    assert text.startswith(f"{tmp_path}/a: expected room on the file system /")
    assert f"got: {os.strerror(code)}; make room there" in text


def test_other_failures_pass(tmp_path):
    with pytest.raises(FileNotFoundError), disk.explained(tmp_path):
        (tmp_path / "a").read_text()


def test_claim_keeps_the_same_run_and_discards_others(tmp_path):
    (disk.claim(tmp_path, "a" * 64) / "snapshot.pt").write_text("x")
    assert (disk.claim(tmp_path, "a" * 64) / "snapshot.pt").exists()
    disk.claim(tmp_path, "b" * 64)
    assert [p.name for p in tmp_path.iterdir()] == ["b" * 16]
