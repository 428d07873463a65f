"""A job that knows when it has to stop, and how it gets back into the queue."""

import math
import os
import time
from pathlib import Path

import pytest

from cluster import time_limit
from cluster.time_limit import JobTimes, TimeLimit
from pipeline.errors import ClusterError, TimeLimitError

ANSWER = "1:40:00|4:00:00|rule_train_wildcards_a|b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ANSWER, JobTimes(6000, 14400, True)),
        ("0:30|2:00|rule_train", JobTimes(30, 120, True)),
        ("1-00:00:10|2-00:00:00|(null)\n", JobTimes(86410, 172800, False)),
        ("UNLIMITED|UNLIMITED|my rule_train", JobTimes(math.inf, math.inf, False)),
    ],
)
def test_the_times_of_a_job(text, expected):
    assert time_limit.parse_times(text) == expected


@pytest.mark.parametrize("text", ["", "INVALID|INVALID|", "slurm_load_jobs error", "1:2:3:x|1:00|"])
def test_no_times(text):
    with pytest.raises(ClusterError, match="squeue: expected the time left"):
        time_limit.parse_times(text)


@pytest.mark.parametrize(
    ("left", "limit", "working"),
    [(14400, 14400, 14280), (60, 120, 30), (10, 60, -5), (math.inf, math.inf, math.inf)],
)
def test_a_job_ends_two_minutes_early_or_by_a_quarter_of_a_short_limit(left, limit, working):
    assert JobTimes(left, limit, True).working_s == working


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """A folder with `squeue`, which says what is in `answer`, and `scontrol`, which notes calls."""
    (tmp_path / "answer").write_text(ANSWER)
    programs = {
        "squeue": f'echo "$*" >> {tmp_path}/asked; cat {tmp_path}/answer',
        "scontrol": f'test ! -e {tmp_path}/refuse && echo "$*" > {tmp_path}/told || '
        "{ echo Requested operation is presently disabled >&2; exit 1; }",
    }
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    return tmp_path


def asked(site: Path) -> list[str]:
    return (site / "asked").read_text().splitlines()


def test_a_job_asks_once_and_again_when_its_time_is_up(site):
    limit = time_limit.of_this_job()
    assert limit.times == time_limit.parse_times(ANSWER)
    assert limit.seconds() == pytest.approx(6000 - 120, abs=5)
    assert not limit.is_near()
    assert asked(site) == ["--noheader --jobs=12 --format=%L|%l|%k"]
    limit.asked -= 6000
    # The limit was moved meanwhile.
    assert not limit.is_near() and limit.seconds() == pytest.approx(6000 - 120, abs=5)
    limit.asked -= 6000
    (site / "answer").write_text("1:59|4:00:00|rule_train")
    assert limit.is_near() and len(asked(site)) == 3


def test_a_silent_site_moves_no_limit(site):
    limit = TimeLimit("12", JobTimes(60, 60, True), time.time() - 50)
    (site / "answer").write_text("")
    assert limit.is_near()


def test_no_limit_outside_of_slurm_or_without_an_answer(site, monkeypatch, capsys):
    (site / "answer").write_text("")
    assert time_limit.of_this_job() is None
    assert "time limit of job 12: unknown, squeue: expected" in capsys.readouterr().out
    monkeypatch.delenv("SLURM_JOB_ID")
    assert time_limit.of_this_job() is None


def stop(limit: TimeLimit | None) -> str:
    """Return what a stage says that stops before its limit."""
    with pytest.raises(TimeLimitError) as raised, time_limit.requeued(limit):
        raise TimeLimitError("runs.a: stopped after step 5 of 9")
    return str(raised.value)


def test_a_stopped_job_goes_back_to_the_queue(site, capsys):
    stop(time_limit.of_this_job())
    assert (site / "told").read_text() == "requeue 12\n"
    said = "runs.a: stopped after step 5 of 9; job 12 goes back into the queue and on from there\n"
    assert capsys.readouterr().out == said


def test_a_job_that_may_not_be_queued_again_says_so(site):
    (site / "refuse").touch()
    said = stop(time_limit.of_this_job())
    assert "SLURM refused: Requested operation is presently disabled; set slurm-requeue" in said


@pytest.mark.parametrize("limit", [None, TimeLimit("12", JobTimes(1, 60, False), 0.0)])
def test_a_job_that_is_not_ours_is_left_alone(site, limit):
    assert stop(limit).endswith("start again to go on from there")
    assert not (site / "told").exists()
