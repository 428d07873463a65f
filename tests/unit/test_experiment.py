"""Each mistake in an experiment's files is one line: place, key, what was expected and found."""

import os
import re
from pathlib import Path

import pytest

from pipeline import experiment
from pipeline.errors import ConfigError

BASE = """\
schema_version: 1
seed: 7
datasets:
  b: &b
    problem: {kind: burgers, viscosity: 0.05}
    grid: [64]
    num_samples: 40
    num_test: 10
    samples_per_shard: 10
runs:
  f:
    dataset: b
    model: {kind: fno, modes: [8], width: 8}
    train: {num_epochs: 2, batch_size: 10, num_workers: 1}
  p: &p
    problem: {kind: two_body, dim: 10}
    model: {kind: mlp, width: 16, depth: 2}
    estimator: {kind: sdgd, sampled_axes: 4}
    train: {num_steps: 20, num_test_points: 100, num_workers: 1, evaluate_every: 10}
"""


def mistakes(folder: Path, text: str | bytes, name: str = "mine.yaml") -> list[str]:
    """Return the lines that a file with this content is refused with, its folder left out."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        experiment.load(path)
    return str(caught.value).replace(f"{folder}{os.sep}", "").splitlines()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "mine.yaml:1: expected keys (schema_version: 1, seed: ...), got an empty file"),
        ("# a\n", "mine.yaml:1: expected keys (schema_version: 1, seed: ...), got an empty file"),
        ("- 1\n- 2\n", "mine.yaml:1: expected keys at the top level (schema_version: 1, seed:"),
        ("hello\n", "mine.yaml:1: expected keys at the top level (schema_version: 1, seed:"),
        ("[1, 2]", "mine.yaml:1: expected keys at the top level (schema_version: 1, seed:"),
        ('{"seed": 1, \n', "mine.yaml:1: expected the end of what is open (a bracket, a quote"),
        ('{"seed": 1, "seed": 2}', "mine.yaml:1: seed: expected a key once, got it again (first"),
        ('{"seed": 1,\n"seed": 2}', "mine.yaml:2: seed: expected a key once, got it again (first"),
        ('{"seed": 1,\n"runs": {"\\ud800": 1}}', "mine.yaml:2: expected a character, or an escape"),
        ('seed: 1\nname: "\\q"\n', "mine.yaml:2: expected a character, or an escape of one (\\n, "),
        ("seed: 1\nruns:\n\ta: 1\n", "mine.yaml:3: expected spaces before a key, got a tab"),
        ("seed: 1\nruns: {a: *zz}\n", "mine.yaml:2: expected an anchor that the file defines a"),
        ("seed: 1\n---\nseed: 2\n", "mine.yaml:2: expected one document, got a second one after"),
        ("seed: 1\nruns: &r\n  a: *r\n", "mine.yaml:3: runs.a: expected a value, got an alias (*)"),
        ("seed: &s [*s]\n", "mine.yaml:1: seed.0: expected a value, got an alias (*) of the very"),
        ("seed: 1 # gr\xf6\xdfe".encode("latin1"), "mine.yaml:1: expected UTF-8 text, got the byt"),
        ("seed: 1".encode("utf-16"), "mine.yaml:1: expected UTF-8 text, got the byte 0xff"),
        ("seed: 1\nx: \0\n", "mine.yaml:2: expected text, got the control character U+0000"),
        ("seed: 1\nseed: 2\n", "mine.yaml:2: seed: expected a key once, got it again (first in li"),
        ("runs:\n  1: {}\n", 'mine.yaml:2: runs.1: expected a name, got the number 1; write it in'),
        ("runs:\n  no: {}\n", "mine.yaml:2: runs.no: expected a name, got no, which YAML reads as"),
        ("runs:\n  2024-06-11: {}\n", "mine.yaml:2: runs.2024-06-11: expected a name, got the dat"),
        ("runs:\n  ? [a]\n  : 1\n", "mine.yaml:2: runs: expected a name before the colon, got a l"),
        ("seed: 12:30:00\n", "mine.yaml:1: seed: expected a decimal number, got 12:30:00, which Y"),
        ("seed: 010\n", "mine.yaml:1: seed: expected a decimal number, got 010, which YAML reads"),
        ("seed: !!python/tuple [1]\n", "mine.yaml:1: seed: expected a plain list or keys, got the"),
        ("seed: !!int abc\n", "mine.yaml:1: seed: expected a number, text or true/false, got 'abc"),
        ("seed: 2024-13-45\n", "mine.yaml:1: seed: expected a number, text or true/false, got '20"),
        ("a: b: c\n", "mine.yaml:1: expected `key: value` in a line of its own, got 'a: b: c'"),
        ("seed: " + "9" * 5000, "mine.yaml:1: seed: expected a number, text or true/false, got '"),
        ("seed: " + "[" * 20_000, "mine.yaml:1: expected at most 100 levels of keys, got more"),
        ("a: " + "[" * 150 + "]" * 150, "mine.yaml:1: a.0.0.0.0.0.0.0: expected at most 100 level"),
        ("- " * 10_000 + "a", "mine.yaml:1: expected at most 100 levels of keys, got more"),
        ('{"a": ' + "[" * 5_000 + "]" * 5_000 + "}", "mine.yaml:1: expected at most 100 levels"),
        ("runs:\n  <<: 5\n", "mine.yaml:2: runs.'<<': expected an alias (*name) of keys, or a"),
        ("runs:\n  a: {<<: [{}, 2]}\n", "mine.yaml:2: runs.a.'<<': expected an alias (*name) of"),
        ("runs:\n  a: !x [1]\n", "mine.yaml:2: runs.a: expected a plain list or keys, got the tag"),
        ("runs:\n  a: !!set {b}\n", "mine.yaml:2: runs.a: expected a plain list or keys, got the"),
        ("runs:\n  a: [1, !x b]\n", "mine.yaml:2: runs.a.1: expected a number, text or true/false"),
        ("\n" + "".join(f"{' ' * i}a:\n" for i in range(900)), "mine.yaml:103: expected at most 1"),
        ("a: &x0 [1]\n" + "".join(f"k{i}: &x{i} [*x{i - 1}]\n" for i in range(1, 200)), "mine.yam"),
    ],
    ids=lambda x: None if isinstance(x, str) and len(x) < 60 else "...",
)  # fmt: skip
def test_text_that_is_no_experiment(tmp_path, text, line):
    (found,) = mistakes(tmp_path, text)
    assert found.startswith(line) and len(found) < 400


def test_aliases_within_aliases_are_counted_and_not_written_out(tmp_path):
    rows = ["x0: &x0 [a,a,a,a,a,a,a,a,a]"]
    rows += [f"x{i}: &x{i} [{','.join([f'*x{i - 1}'] * 9)}]" for i in range(1, 40)]
    (line,) = mistakes(tmp_path, "\n".join(rows))
    assert line.startswith("mine.yaml:7: expected aliases that stand for at most 1,000,000 values")
    rows = ["x0: &x0 {a: 1, b: 2, c: 3}"]
    rows += [f"x{i}: &x{i} {{<<: [{','.join([f'*x{i - 1}'] * 9)}]}}" for i in range(1, 40)]
    (line,) = mistakes(tmp_path, "\n".join(rows))
    assert "expected aliases that stand for at most" in line


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("seed: 7\n", "", "1: seed: expected a whole number of at least 0, got nothing; the key h"),
        ("seed: 7", "seed: 1.5", "2: seed: expected a whole number of at least 0, got 1.5"),
        ("seed: 7", "seed: 7.0", "2: seed: expected a whole number of at least 0, got 7.0; write"),
        ("seed: 7", "seed: true", "2: seed: expected a whole number of at least 0, got true"),
        ("seed: 7", "seed: '7'", "2: seed: expected a whole number of at least 0, got '7'; write"),
        ("seed: 7", "seed:", "2: seed: expected a whole number of at least 0, got nothing (null)"),
        ("seed: 7", "seed: 2024-06-11", "2: seed: expected a whole number of at least 0, got the"),
        ("viscosity: 0.05", "viscosity: true", "5: datasets.b.problem.viscosity: expected a n"),
        ("viscosity: 0.05", "viscosity: 1e-3", "5: datasets.b.problem.viscosity: expected a number"
         " above 0, got '1e-3'; write 1.0e-3"),
        ("viscosity: 0.05", "viscosity: 1e3", "5: datasets.b.problem.viscosity: expected a number"
         " above 0, got '1e3'; write 1.0e+3"),
        ("viscosity: 0.05", "viscosity: .inf", "5: datasets.b.problem.viscosity: expected a number"
         " above 0 and at most 1e+06, got inf"),
        ("viscosity: 0.05", "viscosity: .nan", "5: datasets.b.problem.viscosity: expected a number"
         " above 0, got nan"),
        ("grid: [64]", "grid: 64", "6: datasets.b.grid: expected a list [...], each a whole number"
         " of at least 8, got 64; write [64]"),
        ("grid: [64]", "grid: [64.0]", "6: datasets.b.grid.0: expected a whole number of at least"
         " 8, got 64.0; write 64"),
        ("modes: [8]", "modes: [true]", "13: runs.f.model.modes.0: expected a whole number of at"),
        ("kind: two_body, ", "", "16: runs.p.problem.kind: expected two_body, three_body,"
         " parabolic, hjb, black_scholes_barenblatt, fokker_planck or schroedinger, got nothing;"),
        ("kind: two_body", "kind: twobody", "16: runs.p.problem.kind: expected two_body,"
         " three_body, parabolic, hjb, black_scholes_barenblatt, fokker_planck or schroedinger,"
         " got 'twobody'; did you mean two_body?"),
        ("runs:", "run:", "10: run: expected one of the keys schema_version, name, seed, datasets,"
         " runs or bounds, got 'run'; did you mean runs?"),
        ("num_steps: 20", "num_step: 20", "19: runs.p.train.num_step: expected one of the keys"),
        ("dataset: b", "data_set: b", "12: runs.f.data_set: expected one of the keys dataset,"
         " model, train or initial_checkpoint, got 'data_set'; did you mean dataset?"),
        ("dataset: b", "dataset: no", "12: runs.f.dataset: expected a name of letters, digits, _"),
        ("dataset: b", "dataset: c", "12: runs.f.dataset: expected one of the 1 datasets (b), got"),
        ("  f:\n", f"  {'n' * 240}:\n", f"11: runs.{'n' * 57}...: expected a name of letters, dig"),
        ("  f:\n", "  b c:\n", "11: runs.'b c': expected a name of letters, digits, _ and - that"),
        ("  f:\n", "  P:\n", "15: runs.p: expected names that differ in more than case"),
        ("batch_size: 10", "batch_size: 1000", "14: runs.f.train.batch_size: expected at most 30,"
         " the training samples of dataset 'b' (num_samples - num_test), got 1000"),
        ("num_epochs: 2", "num_epochs: 2, grid_stride: 3", "14: runs.f.train.grid_stride: expected"
         " a divisor of the 64 points of axis 0 of dataset 'b', got 3"),
        ("num_epochs: 2", "num_epochs: 2, precision: flot32", "14: runs.f.train.precision: expected"
         " float32 or bfloat16, got 'flot32'; did you mean float32?"),
        ("num_workers: 1}", "num_workers: 100}", "14: runs.f.train.batch_size: expected at least"),
        ("num_workers: 1, ev", "compile: 1, ev", "19: runs.p.train.compile: expected true or f"),
    ],
)  # fmt: skip
def test_a_mistake_in_one_key(tmp_path, old, new, line):
    assert old in BASE
    (found,) = mistakes(tmp_path, BASE.replace(old, new, 1))
    assert found.startswith(f"mine.yaml:{line}") and len(found) <= 400


def test_several_mistakes_are_as_many_lines(tmp_path):
    text = BASE.replace("runs:", "runs:\nruns2:").replace("seed: 7", "seed: -1")
    text += "bounds:\n  a: {formulation: {kind: two_point, dim: 8, degree: 10}}\n"
    assert mistakes(tmp_path, text) == [
        "mine.yaml:2: seed: expected a whole number of at least 0, got -1",
        "mine.yaml:10: runs: expected names with keys indented below each, got nothing (null);"
        " indent what belongs below it, or remove the key",
        "mine.yaml:22: bounds.a.formulation.degree: expected 3, 7, 11, ... (4m + 3: m double roots"
        " shared by f and its transform), got 10",
        "mine.yaml:11: runs2: expected one of the keys schema_version, name, seed, datasets, runs"
        " or bounds, got 'runs2'; did you mean runs?",
    ]
    text = BASE.replace("batch_size: 10", "batch_size: 1000").replace("p: &p", "P:")
    assert len(mistakes(tmp_path, text.replace("grid: [64]", "grid: [63]"))) == 1
    twice = text.replace("  P:", "  F: {dataset: c, model: {kind: fno, modes: [8]}, train:"
                         " {num_epochs: 1}}\n  P:")  # fmt: skip
    assert [line.split(": expected")[0] for line in mistakes(tmp_path, twice)] == [
        "mine.yaml:15: runs.F",
        "mine.yaml:14: runs.f.train.batch_size",
        "mine.yaml:15: runs.F.dataset",
    ]  # fmt: skip


def test_of_very_many_mistakes_the_first_are_named(tmp_path):
    runs = "".join(f"  r{i}: 3\n" for i in range(1_000))
    lines = mistakes(tmp_path, f"schema_version: 1\nseed: 1\nruns:\n{runs}")
    assert len(lines) == 101 and lines[-1] == "and 900 more mistakes"
    assert lines[0].startswith("mine.yaml:4: runs.r0: expected keys below it: problem, model, ")


@pytest.mark.parametrize(
    ("grid", "stride", "modes", "fits"),
    [
        ([96, 24], 1, [20, 8], True),
        ([96, 24], 1, [8, 20], False),
        ([96, 24], 2, [20, 6], True),
        ([96, 24], 2, [20, 7], False),
        ([65, 65], 4, [8, 8], True),
        ([64, 64], 4, [8, 8], True),
        ([64, 64], 5, [4, 4], False),
        ([64, 65], 4, [8, 8], True),
        ([66, 64], 4, [8, 8], False),
    ],
)
def test_each_axis_of_a_grid_has_its_own_modes_and_strides(tmp_path, grid, stride, modes, fits):
    path = tmp_path / "mine.yaml"
    text = BASE.replace("burgers, viscosity: 0.05", "darcy").replace("[64]", str(grid))
    text = text.replace("num_epochs: 2", f"num_epochs: 2, grid_stride: {stride}")
    path.write_text(text.replace("modes: [8]", f"modes: {modes}"))
    if fits:
        assert experiment.load(path).runs["f"].model.modes == tuple(modes)
    else:
        with pytest.raises(ConfigError, match=r"runs\.f\.(model\.modes|train\.grid_stride): "):
            experiment.load(path)


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "huge.yaml").touch()
    os.truncate(tmp_path / "huge.yaml", 10**12)
    for name, reason in {
        ".": "a folder",
        "pipe": "a pipe or a device",
        "/dev/zero": "a pipe or a device",
        "absent.yaml": "got: No such file or directory",
        "a\0b": "embedded null byte",
        "x" * 300: "File name too long",
        "huge.yaml": "got 1,000,000,000,000; is this an experiment?",
    }.items():
        with pytest.raises(ConfigError) as caught:
            experiment.load(tmp_path / name)
        assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_meant_is_read_as_it_is_meant(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
    found = experiment.load(path)
    merges = "  q: {<<: *p, estimator: {kind: full}}\n  r:\n    <<: *p\n"
    path.write_text(BASE + merges)
    more = experiment.load(path)
    assert more.runs["r"] == more.runs["p"] == found.runs["p"]
    assert more.runs["q"].estimator.kind == "full"
    path.write_text(found.model_dump_json())
    assert experiment.load(path) == found


def test_a_mistake_that_is_merged_is_named_where_it_is_written(tmp_path):
    text = BASE.replace("width: 16", "width: -16") + "  q: {<<: *p, estimator: {kind: full}}\n"
    assert [line.split(": expected")[0] for line in mistakes(tmp_path, text)] == [
        "mine.yaml:17: runs.p.model.width",
        "mine.yaml:17: runs.q.model.width",
    ]


def test_overrides_are_typed_and_their_mistakes_named(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(BASE)
    # Snakemake leaves what is nested as text.
    override = {"runs": {"f": {"train": {"batch_size": "20", "learning_rate": "1.0e-2"}}}}
    train = experiment.load(path, overrides=override).runs["f"].train
    assert (train.batch_size, train.learning_rate) == (20, 0.01)
    for override, line in (
        ({"seed": "abc"}, "--config: seed: expected a whole number of at least 0, got 'abc'"),
        (
            {"runs": {"f": {"train": {"batch_size": "31"}}}},
            "--config: runs.f.train.batch_size: exp",
        ),
        ({"sed": 3}, "--config: sed: expected one of the keys"),
    ):
        with pytest.raises(ConfigError, match=re.escape(line)):
            experiment.load(path, overrides=override)


def test_the_check_prints_what_there_is_or_what_is_wrong(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(BASE)
    assert experiment.main([str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "experiment mine, seed 7",
        "1 data set: b",
        "2 runs: f, p",
        "0 bounds",
        "4 jobs if nothing is done yet",
    ]
    path.write_text(BASE.replace("dim: 10}", "dim: 1000000000000}"))
    assert experiment.main([str(path), "--elsewhere"]) == 0
    assert experiment.main([str(path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"{path}:16: runs.p.problem.dim: expected what fits into the")
    assert len(error.splitlines()) == 1
    for arguments in (["absent.yaml"], [str(path), "absent.yaml"]):
        assert experiment.main(arguments) == 1
        assert capsys.readouterr().err.startswith("absent.yaml: expected a file that can be read")
