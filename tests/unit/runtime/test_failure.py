"""A failure is recorded as one line, and its record never gets in the way."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime import failure


def test_a_failure_comes_back_as_it_was_written(tmp_path):
    file = failure.path(tmp_path / "results", "train", "a.b")
    assert file == tmp_path / "results" / "failed" / "train.a.b.json"
    assert failure.read(file) is None
    assert failure.write(file, reason="loss is NaN at step 3")
    found = failure.read(file)
    assert (found.stage, found.name, found.reason) == ("train", "a.b", "loss is NaN at step 3")
    assert found.when.endswith("+00:00")
    assert set(json.loads(file.read_text(encoding="utf-8"))) == {
        "schema_version", "stage", "name", "reason", "when"
    }  # fmt: skip
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    failure.clear(file)
    failure.clear(file)
    assert failure.read(file) is None


def test_the_failure_of_a_data_set_lies_beside_its_store(tmp_path):
    file = failure.path(tmp_path, "generate", "burgers")
    assert file == tmp_path / "burgers.failed.json"


@given(st.text(st.characters(blacklist_categories=()), max_size=3000))
def test_every_reason_is_one_printable_line(text):
    line = failure.one_line(text)
    assert line and line.isprintable() and len(line) <= failure.MOST_CHARACTERS
    assert failure.one_line(line) == line
    line.encode("utf-8")


def test_lines_are_joined():
    assert failure.one_line("a: expected 1\n\n  b:\x1b[31m expected 2") == (
        "a: expected 1; b: [31m expected 2"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe", b"[]", b"null", b"{}", b'{"schema_version": 2}', b"[" * 60_000,
        b'{"schema_version": 1, "stage": "train", "name": "a", "reason": "", "when": "x"}',
        b'{"schema_version": 1, "stage": "train", "name": 3, "reason": "r", "when": "x"}',
    ],
)  # fmt: skip
def test_a_damaged_record_is_still_a_failure(tmp_path, content):
    file = failure.path(tmp_path, "search", "n.8")
    file.parent.mkdir()
    file.write_bytes(content)
    found = failure.read(file)
    assert (found.stage, found.name) == ("search", "n.8")
    assert "damaged" in found.reason


def test_a_folder_in_the_place_of_a_record_stops_nothing(tmp_path):
    file = failure.path(tmp_path, "generate", "a")
    file.mkdir()
    assert failure.write(file, reason="r") is False
    failure.clear(file)
    assert failure.read(file).name == "a"
    assert failure.path(file / "x", "train", "a").parent.parent.parent == file


def test_a_file_in_the_place_of_the_folder_stops_nothing(tmp_path):
    (tmp_path / "failed").write_text("mine", encoding="utf-8")
    file = failure.path(tmp_path, "train", "a")
    assert failure.write(file, reason="r") is False
    assert failure.read(file) is None
    failure.clear(file)
    assert (tmp_path / "failed").read_text(encoding="utf-8") == "mine"
