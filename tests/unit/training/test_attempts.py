"""Which failures of a worker are tried again, and the one line of the others."""

import errno

import pytest
import torch

from pipeline.errors import DiskError, TrainingError, brief
from pipeline.training import attempts

DEFECTS = [
    ValueError("expected 3, got 4"),
    PermissionError(errno.EACCES, "Permission denied"),
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
]
PASSING = [
    ConnectionResetError(errno.ECONNRESET, "reset"),
    OSError(errno.ESTALE, "Stale file handle"),
    torch.distributed.DistBackendError("NCCL timed out"),
    RuntimeError("[third_party/gloo/transport/tcp/pair.cc] Connection closed by peer"),
]


@pytest.mark.parametrize("error", DEFECTS, ids=repr)
def test_what_fails_in_our_process_is_not_tried_again(tmp_path, error):
    attempts.note(tmp_path, "p", error)
    assert attempts.is_over(tmp_path)
    with pytest.raises(TrainingError) as caught:
        attempts.raise_foreseen(tmp_path)
    text = str(caught.value)
    assert text == f"runs.p: {brief(error)}; the traceback is in {tmp_path}/traceback.txt"
    assert type(error).__name__ in (tmp_path / "traceback.txt").read_text()


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_may_pass_is_tried_again_until_it_fails_alike_without_progress(tmp_path, error):
    attempts.note(tmp_path, "p", error)
    assert not attempts.is_over(tmp_path)
    (tmp_path / "snapshot.pt").touch()
    attempts.note(tmp_path, "p", error)
    assert not attempts.is_over(tmp_path), "there was a snapshot in between"
    attempts.note(tmp_path, "p", error)
    with pytest.raises(TrainingError, match="runs.p: "):
        attempts.raise_foreseen(tmp_path)


def test_the_first_failure_of_all_processes_counts(tmp_path):
    attempts.note(tmp_path, "p", ValueError("the cause"))
    attempts.note(tmp_path, "p", ConnectionResetError("what the others saw"))
    attempts.give_up(tmp_path, TrainingError("later"))
    with pytest.raises(TrainingError, match="runs.p: ValueError: the cause;"):
        attempts.raise_foreseen(tmp_path)
    attempts.begin(tmp_path)
    attempts.raise_foreseen(tmp_path)


def test_without_room_for_its_line_an_error_is_one_of_the_disk(tmp_path):
    (tmp_path / "error.txt").touch()
    with pytest.raises(DiskError, match="make room there"):
        attempts.raise_foreseen(tmp_path)


def test_of_lost_workers_their_own_line_is_told(tmp_path):
    class Failed(Exception):
        worker_failures = {1: RuntimeError("The actor died")}

    text = attempts.why(tmp_path, Failed("Training failed due to worker errors:\nTraceback ..."))
    assert text == "RuntimeError: The actor died"
    attempts.note(tmp_path, "p", ConnectionResetError("lost"))
    assert attempts.why(tmp_path, Failed()) == "ConnectionResetError: lost"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("one line", "ValueError: one line"),
        ("first\n\n  second\n last  words\n", "ValueError: first … last words"),
        ("", "ValueError"),
        (
            'Traceback (most recent call last):\n  File "a.py", line 1\nKeyError: 3\n',
            "KeyError: 3",
        ),
    ],
)
def test_an_exception_is_told_in_one_line(text, told):
    assert brief(ValueError(text)) == told


@pytest.mark.parametrize("text", ["word " * 200, "word " * 200 + "\n" + "end " * 200, "x" * 2000])
def test_a_long_exception_is_cut_between_words(text):
    told = brief(ValueError(text))
    assert len(told) <= 300 and told.startswith("ValueError:")
    assert set(told.replace("ValueError:", "").split()) <= {"word", "end", "…"}
