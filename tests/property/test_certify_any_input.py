"""Whatever the verifier is given, it answers with a verdict, soon, and harms nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from certificate_examples import encoded, three_point, two_point
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.certify import bernstein, verify
from pipeline.certify import format as certificates
from pipeline.certify.__main__ import main

GOOD = {
    kind.__name__: encoded(kind(4, *rest)) for kind, rest in ((two_point, [15]), (three_point, []))
}
# A machine with other work may be slow.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# What nobody should write, and what a reader of JSON may trip over.
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["1e999999999", "9" * 100_000, "-" * 300, "1/0", "\ud800", "٣", [], {}, 10**4000]
    ),
)
ANYTHING = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner)
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates") / "any.json"


def judged(path: Path, content: bytes) -> dict[str, object]:
    path.write_bytes(content)
    result = verify.verdict(path)
    assert result["status"] == "rejected" or result["failed_condition"] is None
    assert (result["status"] == "proved") == (result["bound"] is not None)
    # It fits in a JSON file, and on one line of a terminal that knows ASCII only.
    json.dumps(result, allow_nan=False)
    assert str(result["detail"]).isascii() and str(result["detail"]).isprintable()
    return result


@settings(patient, max_examples=50)
@given(content=st.binary(max_size=60))
def test_any_bytes_are_rejected(path, content):
    assert judged(path, content)["status"] == "rejected"


@settings(patient, max_examples=40)
@given(content=ANYTHING)
def test_any_json_is_rejected(path, content):
    assert judged(path, json.dumps(content).encode())["status"] == "rejected"


@pytest.mark.parametrize("kind", GOOD)
@settings(patient, max_examples=40)
@given(data=st.data())
def test_anything_in_place_of_a_field_is_judged(path, kind, data):
    fields = json.loads(GOOD[kind])
    place, key = fields, data.draw(st.sampled_from(sorted(fields)))
    # Down into the lists, as often as is drawn.
    while isinstance(place[key], list) and data.draw(st.booleans()):
        place, key = place[key], data.draw(st.integers(0, len(place[key]) - 1))
    place[key] = data.draw(ANYTHING)
    assert judged(path, json.dumps(fields).encode())["status"] == "rejected"


SMALL = {
    "schema_version": 1, "kind": "three_point", "dim": 4, "degree": 1, "inner_radius": "9/1",
    "outer_radius": "15/1", "kernel_degree": 1, "coefficients": ["1000", "-1"],
    "kernel": [[["0"], ["0", "0"], ["0", "0", "0"]], [["0"]]],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "condition"),
    [
        ({"inner_radius": "101/1", "outer_radius": "200/1"}, "outer_radius"),
        ({"inner_radius": "9/1", "outer_radius": "16/1"}, "outer_radius"),
        ({"inner_radius": "9" * 19 + "/1", "outer_radius": "1" + "9" * 18 + "7/1"}, "inner_radius"),
        ({"outer_radius": "1" + "0" * 12 + "/" + "9" * 11}, "outer_radius"),
        ({"degree": 404}, "degree"),
        ({"kernel_degree": 25}, "kernel_degree"),
        ({"coefficients": ["1" + "0" * 1200, "-1"]}, "coefficients"),
        ({"kernel": [[["0"], ["0", "0"], ["0", "0", "9" * 201]], [["0"]]]}, "kernel"),
    ],
    ids=repr,
)
def test_a_limit_is_named_before_anything_is_computed(changes, condition):
    certificates.parse(json.dumps(SMALL).encode())
    with pytest.raises(certificates.Rejected) as caught:
        certificates.parse(json.dumps(SMALL | changes).encode())
    assert caught.value.condition == condition


def test_the_radius_of_two_points_has_a_limit():
    fields = json.loads(GOOD["two_point"])
    for radius in ("256/1", "9" * 1200 + "/1"):
        with pytest.raises(certificates.Rejected, match="radius: expected < 256"):
            certificates.parse(json.dumps(fields | {"radius": radius}).encode())


def test_the_limits_are_documented():
    text = (Path(__file__).parents[2] / "docs/three_point.md").read_text(encoding="utf-8")
    limits = (
        certificates.MAX_RADIUS, certificates.MAX_RADIUS**2, certificates.MAX_DEGREE,
        certificates.MAX_KERNEL_DEGREE, certificates.MAX_DIGITS, certificates.MAX_KERNEL_DIGITS,
        certificates.MAX_RADIUS_DIGITS, certificates.MAX_BYTES, bernstein.MAX_BOXES,
        bernstein.MAX_HALVINGS, bernstein.MAX_COEFFICIENTS,
    )  # fmt: skip
    row = {line.split("|")[2].strip() for line in text.splitlines() if line.startswith("| ")}
    assert {f"{limit:,}" for limit in limits} <= row


def test_a_proof_that_needs_too_much_work_is_rejected(path, monkeypatch):
    path.write_bytes(GOOD["three_point"])
    needed = verify.verdict(path)["checks"][-1]["detail"].split()[-2]
    monkeypatch.setattr(bernstein, "MAX_BOXES", int(needed))
    assert verify.verdict(path)["status"] == "proved"
    monkeypatch.setattr(bernstein, "MAX_BOXES", int(needed) - 1)
    for jobs in (1, 2):
        result = verify.verdict(path, jobs)
        assert (result["status"], result["failed_condition"]) == ("rejected", "work")
        assert f"at most {int(needed) - 1} boxes" in result["detail"]
    # One box alone may need more than all.
    monkeypatch.setattr(bernstein, "NUM_PARTS", 1)
    monkeypatch.setattr(bernstein, "MAX_COEFFICIENTS", 10_000)
    assert verify.verdict(path)["failed_condition"] == "work"


@pytest.fixture(
    params=["folder", "pipe", "empty", "/dev/zero", "/proc/self/mem", "link to nothing"]
)
def strange(request, tmp_path):
    """Return what is no file that can be read, or has nothing in it."""
    at = tmp_path / "strange"
    match request.param:
        case "folder":
            at.mkdir()
        case "pipe":
            os.mkfifo(at)
        case "empty":
            at.touch()
        case "link to nothing":
            at.symlink_to("nothing")
        case device:
            at = Path(device)
    return at


def test_what_is_no_file_is_rejected(strange, capsys):
    result = verify.verdict(strange)
    assert result["failed_condition"] in ("file", "json")
    assert main([str(strange)]) == 1
    assert capsys.readouterr().out.startswith(f"REJECTED  {result['failed_condition']}: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_rejected(path):
    path.write_bytes(GOOD["two_point"])
    path.chmod(0)
    assert verify.verdict(path)["failed_condition"] == "file"


def test_a_missing_file_is_wrong_usage(tmp_path, capsys):
    for name in ("none.json", "x" * 300, "no/folder"):
        assert main([str(tmp_path / name)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("jobs", ["0", "-1", "abc", "1.5", "", "9" * 5000])
def test_wrong_jobs_are_one_line(jobs, capsys, tmp_path):
    with pytest.raises(SystemExit) as usage:
        main([str(tmp_path), "--jobs", jobs])
    assert usage.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def command(*arguments: object, **options) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "pipeline.certify", *map(str, arguments)]
    return subprocess.run(line, stderr=subprocess.PIPE, text=True, timeout=60, **options)


@pytest.mark.parametrize("kind", GOOD)
def test_a_reader_who_leaves_is_no_failure(path, kind):
    path.write_bytes(GOOD[kind])
    reading, writing = os.pipe()
    os.close(reading)
    ended = command(path, stdout=writing)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_output_without_room_is_one_line(path):
    path.write_bytes(GOOD["two_point"])
    with open("/dev/full", "w") as full:
        ended = command(path, stdout=full)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "No space left" in ended.stderr


def test_the_environment_does_not_matter(path):
    """Neither the limit on the digits of Python's integers nor a terminal without Unicode."""
    path.write_bytes(encoded(two_point(4, 15), kind="zwei\u0416\ud800"))
    bare = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONINTMAXSTRDIGITS": "640"}
    ended = command(path, stdout=subprocess.PIPE, env=bare)
    assert (ended.returncode, ended.stderr) == (1, "")
    long = [str(int("7" * 600) * 10**300)] * 15 + ["1"]
    path.write_bytes(encoded(two_point(4, 15), coefficients=long))
    ended = command(path, stdout=subprocess.PIPE, env=bare)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "REJECTED  transform_nonnegative" in ended.stdout or "function" in ended.stdout
