"""Folders and tokens of one user: their modes under every umask, and the places where they lie."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster import ray_token
from pipeline.errors import PipelineError
from pipeline.runtime import private


@pytest.fixture(autouse=True)
def generous_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def temporary(monkeypatch):
    """Set the place for temporary files, as Python finds it at its start."""

    def point_to(place: Path | str) -> None:
        monkeypatch.setenv("TMPDIR", str(place))
        monkeypatch.setattr(private.tempfile, "tempdir", None)

    return point_to


def test_scratch_is_ours_alone_and_gone_afterwards(tmp_path, temporary):
    temporary(tmp_path)
    with private.scratch("ray-") as folder:
        assert folder.parent == tmp_path and mode(folder) == 0o700
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["long", "missing", "a file"])
def test_another_place_if_the_usual_one_is_of_no_use(tmp_path, temporary, kind):
    place = tmp_path / ("x" * 80 if kind == "long" else "t")
    if kind == "long":
        place.mkdir()
    elif kind == "a file":
        place.touch()
    temporary(place)
    with private.scratch("ray-", longest=30) as folder:
        assert len(str(folder.parent)) <= 30 and mode(folder) == 0o700


def test_a_place_that_was_asked_for_is_used_or_refused_in_one_line(tmp_path, monkeypatch):
    for place, why in (
        (tmp_path / ("x" * 80), "has more than 40 characters"),
        (Path("/proc/none"), "No such file or directory"),
    ):
        monkeypatch.setenv("RAY_TMPDIR", str(place))
        with (
            pytest.raises(PipelineError, match=rf"^RAY_TMPDIR: .*{why}"),
            private.scratch("ray-", 40, "RAY_TMPDIR"),
        ):
            pass


def test_a_folder_in_which_anybody_may_rename_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    tmp_path.chmod(0o777)
    with (
        pytest.raises(PipelineError, match="anybody's to rename in"),
        private.scratch("ray-", None, "RAY_TMPDIR"),
    ):
        pass
    tmp_path.chmod(0o1777)
    with private.scratch("ray-", None, "RAY_TMPDIR") as folder:
        assert folder.parent == tmp_path


def test_caches_lie_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = private.cache("compiled")
    assert found == tmp_path / ".cache/highdim-pipeline/compiled" == private.cache("compiled")
    assert mode(found) == mode(found.parent) == 0o700


def test_programs_lie_where_they_may_be_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(private, "allows_programs", lambda folder: tmp_path not in folder.parents)
    monkeypatch.setattr(private, "_places", lambda: ["/dev/shm"])
    assert private.cache("compiled").parent.parent == tmp_path
    assert private.cache("compiled", programs=True).parts[:3] == ("/", "dev", "shm")


def test_a_file_system_without_programs_is_known_before_the_folder_is_there(monkeypatch):
    asked = []

    def statvfs(folder):
        asked.append(folder)
        return SimpleNamespace(f_flag=os.ST_NOEXEC if folder == Path("/dev") else 0)

    monkeypatch.setattr(private.os, "statvfs", statvfs)
    assert private.allows_programs(Path("/usr/bin/none/at/all"))
    assert not private.allows_programs(Path("/dev/none"))
    assert asked == [Path("/usr/bin"), Path("/dev")]


def test_without_a_home_folder_they_lie_in_a_checked_one(tmp_path, monkeypatch, temporary):
    (tmp_path / "no folder").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no folder"))
    temporary(tmp_path)
    found = private.cache("compiled")
    assert found == tmp_path / f"highdim-pipeline-{os.geteuid()}/compiled"
    assert mode(found) == mode(found.parent) == 0o700


def test_a_folder_that_another_prepared_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(private, "_places", lambda: [str(tmp_path)])
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    prepared = tmp_path / f"highdim-pipeline-{os.geteuid()}"
    (tmp_path / "theirs").mkdir()
    prepared.symlink_to(tmp_path / "theirs")
    assert prepared not in private.cache("compiled").parents
    prepared.unlink()
    prepared.mkdir(mode=0o777)
    found = private.cache("compiled")
    assert prepared not in found.parents and mode(found) == 0o700
    prepared.chmod(0o700)
    monkeypatch.setattr(private.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PermissionError, match="expected a folder of this user alone"):
        private.own_folder(prepared)


def test_a_private_file_is_never_one_that_was_there(tmp_path):
    private.write(tmp_path / "token", "secret")
    assert mode(tmp_path / "token") == 0o600 and private.is_private(tmp_path / "token")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    for name in ("token", "link"):
        with pytest.raises(FileExistsError):
            private.write(tmp_path / name, "mine")
    (tmp_path / "token").chmod(0o640)
    assert not private.is_private(tmp_path / "token")


@pytest.fixture
def no_token(monkeypatch):
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)


def test_the_token_is_made_once_in_the_home_folder(tmp_path, monkeypatch, no_token):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".ray/auth_token"
    with ray_token.for_new_session(tmp_path / "session"):
        assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(path)
        assert ray_token.for_other_nodes() == {"RAY_AUTH_TOKEN": path.read_text()}
        assert ray_token.export("h:1") == "RAY_ADDRESS=h:1"
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ
    assert mode(path) == 0o600 and mode(path.parent) == 0o700 and len(path.read_text()) >= 32
    assert [file.name for file in path.parent.iterdir()] == ["auth_token"]
    path.write_text("mine")
    with ray_token.for_new_session(tmp_path / "session"):
        assert ray_token.for_other_nodes() == {"RAY_AUTH_TOKEN": "mine"}


def test_no_home_folder_is_made(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    private.cache("compiled")
    assert ray_token.of_user() is None and not (tmp_path / "home").exists()


@pytest.mark.parametrize("home", ["none", "a file", "readable by others"])
def test_else_a_session_has_a_token_of_its_own(tmp_path, monkeypatch, no_token, home):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if home == "a file":
        (tmp_path / "home").touch()
    elif home == "readable by others":
        (tmp_path / "home/.ray").mkdir(parents=True)
        (tmp_path / "home/.ray/auth_token").write_text("known to all")
    session = tmp_path / "session"
    session.mkdir()
    with ray_token.for_new_session(session):
        assert mode(session / "auth_token") == 0o600
        token = (session / "auth_token").read_text()
        assert ray_token.for_other_nodes() == {"RAY_AUTH_TOKEN": token} and len(token) >= 32
        assert (
            ray_token.export("h:1") == f"RAY_ADDRESS=h:1 RAY_AUTH_TOKEN_PATH={session}/auth_token"
        )


def test_the_folder_on_another_node_is_private_too(tmp_path):
    scratch = tmp_path / "new/dask-7"
    command = ["stat", "-c", "%a", str(scratch), str(scratch.parent)]
    words = [sys.executable, "-m", "cluster.on_node", f"--scratch={scratch}", *command]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        said = process.stdout.read().decode()
    assert said == "700\n700\n" and not scratch.exists()
    scratch.mkdir()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        said = process.stderr.read().decode()
    assert said == f"error: {scratch}: expected to make this folder, got: File exists\n"
    assert scratch.exists()
