"""The verifier's own files: no other is replaced, and a state vouches only for what it may."""

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from certificate_examples import KERNEL_OBLIGATIONS, encoded, three_point, two_point
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.certify import __main__ as program
from pipeline.certify import files, verify
from pipeline.certify.__main__ import main
from pipeline.certify.work import Work

GOOD, QUICK = encoded(three_point(4)), encoded(two_point(4, 15))
STATE = {"kind": files.STATE, "key": "another"}


@pytest.fixture
def certificate(tmp_path):
    path = tmp_path / "certificate.json"
    path.write_bytes(QUICK)
    return path


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})


FOREIGN = {
    "empty": b"",
    "text": b"notes\n",
    "json": b'{"kind": "another"}',
    "no json": b"[" * 100_000,
    "list": b"[1]",
    "certificate": QUICK,
    "other": None,
}


@pytest.mark.parametrize("option", ["--state", "--verdict"])
@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_file_of_somebody_else_is_left_as_it_is(
    certificate, option, content, capsys, monkeypatch
):
    monkeypatch.setattr(verify, "parse", None)  # Nothing is judged: calling it would fail.
    if content is None:  # A state for a verdict, a verdict for a state.
        kind = {"--state": files.VERDICT, "--verdict": files.STATE}[option]
        content = json.dumps({"kind": kind}).encode()
    other = certificate.with_name("other")
    other.write_bytes(content)
    assert main([str(certificate), option, str(other)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and str(other) in printed.err
    assert other.read_bytes() == content
    assert {path.name for path in certificate.parent.iterdir()} == {"certificate.json", "other"}


@pytest.mark.parametrize("option", ["--state", "--verdict"])
@pytest.mark.parametrize(
    "what", ["certificate", "link", "hard link", "folder", "pipe", "/dev/null"]
)
def test_what_is_no_file_of_ours_is_refused(certificate, option, what, capsys):
    kind = {"--state": files.STATE, "--verdict": files.VERDICT}[option]
    ours, other = certificate.with_name("ours"), certificate.with_name("other")
    ours.write_text(json.dumps({"kind": kind}))
    match what:
        case "certificate":
            other = certificate
        case "link":
            other.symlink_to(ours)
        case "hard link":
            other.hardlink_to(certificate)
        case "folder":
            other.mkdir()
        case "pipe":
            os.mkfifo(other)
        case device:
            other = Path(device)
    before = os.lstat(other)
    assert main([str(certificate), option, str(other)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    after = os.lstat(other)
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert certificate.read_bytes() == QUICK and json.loads(ours.read_text()) == {"kind": kind}


def test_one_name_for_two_files_is_refused(certificate, capsys):
    both = certificate.with_name("both")
    indirect = certificate.parent / "." / ".." / certificate.parent.name / "both"
    for state, verdict in ((both, both), (both, indirect)):
        assert main([str(certificate), "--state", str(state), "--verdict", str(verdict)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not both.exists()


def test_files_of_its_own_are_replaced(certificate):
    state, verdict = certificate.with_name("state"), certificate.with_name("verdict")
    state.write_text(json.dumps(STATE))
    for _ in range(2):
        assert main([str(certificate), "--state", str(state), "--verdict", str(verdict)]) == 0
        assert json.loads(verdict.read_text())["status"] == "proved"
    assert {path.name for path in certificate.parent.iterdir()} == {"certificate.json", "verdict"}


@pytest.mark.parametrize("option", ["--state", "--verdict"])
def test_whether_there_is_room_is_seen_before_the_proof(certificate, option, capsys, monkeypatch):
    monkeypatch.setattr(verify, "parse", None)  # Calling it would fail.
    assert main([str(certificate), option, "/proc/self/new"]) == 2
    assert capsys.readouterr().err.count("\n") == 1

    def full(path, text, is_trial):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "_write", full)
    assert main([str(certificate), option, str(certificate.with_name("new"))]) == 2
    assert "No space left" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--state", "--verdict"])
@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + "/verdict.json", "a/" * 3000 + "b"])
def test_a_name_that_no_file_can_have_is_refused_before_the_proof(
    certificate, option, name, capsys, monkeypatch
):
    monkeypatch.setattr(verify, "parse", None)  # Calling it would fail.
    path = str(certificate.parent / name)
    assert main([str(certificate), option, path]) == 2
    printed = capsys.readouterr()
    assert (
        printed.out == "" and printed.err.count("\n") == 1 and "File name too long" in printed.err
    )
    assert path[:200] in printed.err and path[:201] not in printed.err
    assert list(certificate.parent.iterdir()) == [certificate]


def test_the_longest_name_of_a_file_will_do(certificate):
    verdict = certificate.with_name("v" * 255)
    assert main([str(certificate), "--verdict", str(verdict)]) == 0
    assert json.loads(verdict.read_text())["status"] == "proved"


def test_a_temporary_file_never_stays(certificate, capsys, monkeypatch):
    """Whatever the last step of writing, its renaming, is hindered by."""
    verdict, rename = certificate.with_name("verdict"), os.replace

    def refuse(source, target):
        if source != target:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(target))
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    assert main([str(certificate), "--verdict", str(verdict)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert list(certificate.parent.iterdir()) == [certificate]


def test_room_that_is_lost_during_the_proof_is_one_line(certificate, capsys, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_json", full)
    assert main([str(certificate), "--verdict", str(certificate.with_name("verdict"))]) == 2
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].startswith("0.")
    assert "No space left" in printed.err and printed.err.count("\n") == 1


class Counted:
    """A part of a proof that counts how often it ran, in this process."""

    def __init__(self):
        self.seen = []

    def __call__(self, part):
        self.seen.append(part)
        return part, "", []


def begun(state, key="certificate"):
    work = Work(1, state)
    work.begin(key)
    return work


def test_an_interrupted_proof_goes_on_from_its_state(tmp_path):
    state, first, second = tmp_path / "state.json", Counted(), Counted()
    results = begun(state).run("name", first, range(1, 11))
    taken = [next(results) for _ in range(4)]
    results.close()
    assert [count for count, *_ in taken] == first.seen == [1, 2, 3, 4]
    # The fourth was kept before it was handed out.
    work = begun(state)
    again = list(work.run("name", second, range(1, 11)))
    assert second.seen == [5, 6, 7, 8, 9, 10]
    assert again == [(count, "", []) for count in range(1, 11)]
    assert (work.parts, work.parts_from_state) == (10, 4)
    # Another obligation, another certificate: nothing is kept.
    assert next(begun(state).run("another", first, range(1, 3)))[0] == first.seen[-1] == 1
    assert list(begun(state, "another").run("name", Counted(), range(1, 3))) == [
        (1, "", []),
        (2, "", []),
    ]


def test_only_proved_parts_are_kept(tmp_path):
    state = tmp_path / "state.json"
    results = [(3, "", []), (5, "an upper bound >= 0", [0.5]), (7, "", [])]
    list(begun(state).run("name", lambda part: results[part], range(3)))
    assert json.loads(state.read_text())["name"] == {"0": 3, "2": 7}


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("012x"), inner),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(found=ODD)
def test_a_state_of_any_content_vouches_for_counts_only(tmp_path_factory, found):
    state = tmp_path_factory.getbasetemp() / "any_state.json"
    state.unlink(missing_ok=True)
    key = begun(None).kept["key"]
    state.write_text(json.dumps({"kind": files.STATE, "key": key, "name": found}))
    work, counted = begun(state), Counted()
    results = list(work.run("name", counted, range(1, 4)))
    believed = [n for n in dict(found).values()] if isinstance(found, dict) else []
    assert len(results) == 3 and work.parts_from_state + len(counted.seen) == 3
    for count, wrong, point in results:
        assert type(count) is int and count > 0 and (wrong, point) == ("", [])
        assert count in counted.seen or count in believed


def test_the_state_of_another_certificate_or_verifier_is_not_believed(tmp_path):
    bad, state = tmp_path / "bad.json", tmp_path / "state.json"
    base = three_point(4)
    scaled = tuple(
        tuple(tuple(x * (k != 2) for x in r) for r in F) for k, F in enumerate(base.kernel)
    )
    bad.write_bytes(encoded(replace(base, kernel=scaled)))
    lies = {name: {str(i): 1 for i in range(999)} for name in KERNEL_OBLIGATIONS}
    for key in ("", None, 7, verify.verdict(bad)["certificate_sha256"], begun(None).kept["key"]):
        state.write_text(json.dumps({"kind": files.STATE, "key": key} | lies))
        result = verify.verdict(bad, state=state)
        assert result["failed_condition"] == "triangles_nonpositive"
        assert result["parts_from_state"] == 0
        assert not state.exists()


def test_a_verdict_says_how_many_parts_came_from_a_state(tmp_path, capsys):
    good, state, verdict = (tmp_path / name for name in ("good.json", "state", "verdict"))
    good.write_bytes(GOOD)
    whole = verify.verdict(good)
    work = Work(1, state)
    work.begin(whole["certificate_sha256"])
    state.write_text(json.dumps(work.kept | {"far_pairs_nonpositive": {"0": 1, "9": 2, "x": 3}}))
    assert main([str(good), "--state", str(state), "--verdict", str(verdict)]) == 0
    assert f"parts     {whole['parts']}, from a state 2" in capsys.readouterr().out
    written = json.loads(verdict.read_text())
    assert (written["parts"], written["parts_from_state"]) == (whole["parts"], 2)
    assert whole["parts"] > 256 and whole["parts_from_state"] == 0


def test_no_more_processes_than_cores(four_cores):
    assert [Work(jobs).jobs for jobs in (1, 3, 10**6)] == [1, 3, 4]


def killed(part):
    if part == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return part + 1, "", []


def test_a_killed_process_leaves_no_verdict(four_cores, monkeypatch, certificate, capsys):
    with pytest.raises(files.NoVerdict, match="was killed"):
        list(Work(3).run("name", killed, range(9)))

    def lost(*arguments):
        list(Work(3).run("name", killed, range(9)))

    monkeypatch.setattr(program, "verdict", lost)
    assert main([str(certificate)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def endless(part):
    if part:
        signal.pause()
    return 1, "", []


def test_whoever_stops_does_not_wait_for_other_parts(four_cores):
    results = Work(3).run("name", endless, range(9))
    assert next(results) == (1, "", [])
    results.close()


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_is_one_line_and_leaves_the_state(tmp_path, jobs):
    good, state = tmp_path / "good.json", tmp_path / "state.json"
    good.write_bytes(GOOD)
    script = (
        # A shell has what it starts in the background ignore the signal, and children with it.
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "os.sched_getaffinity = lambda _: {0, 1};"
        "from pipeline.certify import bernstein, __main__ as program; prove = bernstein.prove;\n"
        "def held(*a): os.path.exists(sys.argv[3]) and signal.pause(); return prove(*a)\n"
        "bernstein.prove = held; sys.exit(program.main(sys.argv[1:]))"
    )
    line = [sys.executable, "-c", script, good, "--state", state, "--jobs", str(jobs)]
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not state.exists():
        assert process.poll() is None
    # As Ctrl-C does: to all processes of the terminal.
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    said = [text for text in err.splitlines() if " boxes, " not in text]
    assert len(said) == 1 and "interrupted" in said[0]
    assert json.loads(state.read_text())["triangles_nonpositive"]
