"""State of other configurations is kept within limits, and nothing else is touched."""

import os

import pytest

from pipeline.runtime import kept


def digest(letter):
    return letter * 64


def names(folder):
    return {path.name for path in folder.iterdir()}


def made(state, letter, age_s=0, size=10, reached=""):
    """Make a state that was used `age_s` seconds ago."""
    folder = kept.claim(state, digest(letter), "train p")
    (folder / "snapshot.pt").write_bytes(bytes(size))
    if reached:
        kept.set_reached(folder, reached)
    os.utime(folder, (1e9 - age_s, 1e9 - age_s))
    return folder


def test_going_back_finds_the_state_as_it_was(tmp_path, capsys):
    state = tmp_path / "state"
    made(state, "a", reached="step 2000 of 20000")
    other = kept.claim(state, digest("b"), "train p")
    assert capsys.readouterr().out == (
        f"train p: state of another configuration kept in {state}/{'a' * 16} (step 2000 of 20000)\n"
    )
    (other / "snapshot.pt").write_text("b")
    back = kept.claim(state, digest("a"), "train p")
    assert (back / "snapshot.pt").stat().st_size == 10
    assert kept.reached(back) == "step 2000 of 20000"


def test_the_newest_others_are_kept_and_removals_are_told(tmp_path, capsys):
    for age_s, letter in enumerate("abcd"):
        made(tmp_path, letter, age_s=age_s, reached=f"step {age_s}")
    capsys.readouterr()
    kept.claim(tmp_path, digest("f"), "train p")
    told = capsys.readouterr().out.splitlines()
    assert names(tmp_path) == {x * 16 for x in "abcf"}
    assert [line for line in told if "removed" in line] == [
        f"train p: state of another configuration removed: {tmp_path}/{'d' * 16} (step 3);"
        " the newest 3 are kept, and 20 GiB"
    ]


def test_the_bytes_of_all_others_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "MOST_BYTES", 100)
    made(tmp_path, "a", age_s=2, size=60)
    made(tmp_path, "b", age_s=1, size=60)
    kept.claim(tmp_path, digest("c"), "train p")
    assert names(tmp_path) == {"b" * 16, "c" * 16}


def test_the_state_in_use_is_never_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "MOST_BYTES", 1)
    made(tmp_path, "a", age_s=1e6, size=60)
    assert (kept.claim(tmp_path, digest("a"), "x") / "snapshot.pt").exists()


def test_what_is_no_state_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "MOST_STATES", 0)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine").touch()
    (tmp_path / ("a" * 16)).symlink_to("elsewhere")
    (tmp_path / ("b" * 16)).write_text("a file")
    (tmp_path / "notes").mkdir()
    before = names(tmp_path)
    kept.claim(tmp_path, digest("c"), "x")
    kept.release(tmp_path, digest("c"))
    assert names(tmp_path) == before and (tmp_path / "elsewhere" / "mine").exists()


def test_finished_work_leaves_nothing_but_the_states_of_others(tmp_path):
    state = tmp_path / "state"
    made(state, "a")
    kept.release(state, digest("a"))
    assert not state.exists()
    made(state, "a")
    made(state, "b")
    kept.release(state, digest("b"))
    assert names(state) == {"a" * 16}


def test_a_state_folder_that_is_a_link_stays_one(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "state").symlink_to("scratch")
    kept.claim(tmp_path / "state", digest("a"), "x")
    assert names(tmp_path / "scratch") == {"a" * 16}
    kept.release(tmp_path / "state", digest("a"))
    assert names(tmp_path) == {"scratch", "state"} and not names(tmp_path / "scratch")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"step 1\nof 2"])
def test_what_was_reached_is_told_in_one_line_whatever_is_there(tmp_path, content):
    (tmp_path / "reached.txt").write_bytes(content)
    assert "\n" not in kept.reached(tmp_path)
