"""Files are whole or not there; a full disk is one line."""

import errno
import os
from pathlib import Path

import pytest

from pipeline.errors import DiskError, PlaceError
from pipeline.runtime import disk


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with disk.replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole" and names(path.parent) == {"a.txt"}


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), disk.replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert names(tmp_path) == {"a"} and path.read_text() == "old"


def make_folder(path):
    path.mkdir()
    (path / "mine").write_text("mine")


def make_link(path):
    other = path.with_name("other")
    other.write_text("mine")
    path.symlink_to(other)


def make_link_to_nothing(path):
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [make_folder, make_link, make_link_to_nothing, os.mkfifo])
def test_what_is_no_file_of_ours_is_refused_and_stays(tmp_path, make):
    make(tmp_path / "a")
    before = names(tmp_path), (tmp_path / "a").lstat()
    with (
        pytest.raises(PlaceError, match=r"/a: expected a file of this pipeline or nothing, got"),
        disk.replacing(tmp_path / "a"),
    ):
        raise AssertionError("nothing is computed")
    assert (names(tmp_path), (tmp_path / "a").lstat()) == before


def test_a_folder_that_is_a_link_is_followed_and_kept(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "data").symlink_to("scratch")
    disk.check_folder(tmp_path / "data" / "new")
    with disk.replacing(tmp_path / "data" / "new" / "a") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "data").is_symlink()
    assert (tmp_path / "scratch" / "new" / "a").read_text() == "x"


def test_a_folder_is_looked_at_before_it_is_used(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(PlaceError, match=r"/file: expected a folder, got a file"):
        disk.check_folder(tmp_path / "file" / "a")
    with pytest.raises(PlaceError, match=r"/link: expected a folder, got a link to nowhere"):
        disk.check_folder(tmp_path / "link" / "a")


def test_a_folder_that_may_not_be_written_to_is_refused(tmp_path, monkeypatch):
    # Not by its mode: whoever runs the tests may be allowed everything.
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(PlaceError, match="expected a folder that can be written to, got"):
        disk.check_folder(tmp_path / "results")


def test_room_is_looked_for_before_it_is_needed(tmp_path):
    disk.check_room(tmp_path / "a", 1000, 10)
    with pytest.raises(DiskError, match=r"expected room for about 1,000,000,000,000,000 MB on"):
        disk.check_room(tmp_path / "a", 10**21, 10)


def test_too_few_inodes_are_named(tmp_path, monkeypatch):
    found = os.statvfs_result((4096, 4096, 10**9, 10**9, 10**9, 100, 5, 5, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: found)
    disk.check_room(tmp_path, 0, 5)
    with pytest.raises(DiskError, match=r"expected room for 6 files .* got 5 \(inodes\)"):
        disk.check_room(tmp_path, 0, 6)


def test_removing_a_link_leaves_what_it_leads_to(tmp_path):
    make_folder(tmp_path / "other")
    (tmp_path / "a").symlink_to("other")
    disk.remove(tmp_path / "a")
    assert names(tmp_path) == {"other"} and names(tmp_path / "other") == {"mine"}


def test_leftovers_of_killed_writers_are_swept(tmp_path):
    (tmp_path / ".a.txt.12.tmp").touch()
    (tmp_path / ".b.13.tmp").mkdir()
    others = {"a.txt", ".notes.tmp", "a.12.tmp"}
    for name in others:
        (tmp_path / name).touch()
    disk.sweep(tmp_path)
    assert names(tmp_path) == others


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
