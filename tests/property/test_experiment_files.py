"""Whatever is in a file: an experiment, or lines about what is wrong with it."""

import json
import os
import tempfile
from pathlib import Path

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline import experiment
from pipeline.errors import ConfigError

WORDS = [
    "schema_version", "name", "seed", "datasets", "runs", "bounds", "problem", "kind", "model",
    "estimator", "train", "formulation", "grid", "modes", "num_workers", "dataset", "burgers",
    "navier_stokes", "fno", "two_point", "sdgd", "two_body", "initial", "<<", "no",
]  # fmt: skip
KEYS = st.sampled_from(WORDS) | st.text(max_size=8)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text()
    | st.just(10**400) | st.dates() | st.binary(max_size=4)
)  # fmt: skip
TREES = st.recursive(
    LEAVES, lambda x: st.lists(x, max_size=4) | st.dictionaries(KEYS, x, max_size=5), max_leaves=30
)
MAPPINGS = st.dictionaries(KEYS, TREES, max_size=6)
SCRAPS = st.sampled_from(
    ["{", "}", "[", "]", ": ", "- ", "\n", "  ", "\t", "&a ", "*a", "<<: ", "'", '"', "|", ">",
     "---", "!!int ", "!x ", "? ", "# ", "1e3", "%", "@", "seed", "runs", "kind",
     "\x85", "\u2028", "é"]
)  # fmt: skip


def check(read) -> None:
    try:
        read()
    except ConfigError as error:
        lines = str(error).split("\n")
        assert all(line and len(line) <= 400 and line.isprintable() for line in lines), lines


def check_file(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.yaml"
        path.write_bytes(content)
        before = os.getcwd()
        os.chdir(folder)
        try:
            check(lambda: experiment.load("mine.yaml"))
        finally:
            os.chdir(before)


@settings(max_examples=60, deadline=None)
@given(MAPPINGS)
def test_any_mapping(content):
    check(lambda: experiment.validate(content))
    check_file(yaml.dump(content, allow_unicode=True).encode("utf-8", "surrogatepass"))
    plain = json.dumps(content, default=str)
    check_file(plain.encode())


@settings(max_examples=200, deadline=None)
@given(st.lists(SCRAPS, max_size=25).map("".join))
@example("=")
@example("a: =")
@example("? ")
@example("<<: 3")
@example("<<: [1]")
@example("a: !!timestamp x")
@example("a: !!bool x")
@example("a: !!int ''")
@example("a: !!omap [1]")
@example("a: !!binary é")
@example("a: *")
@example("&a *a : 1")
@example('{"seed": "\\ud800"}')
def test_any_text(text):
    check_file(text.encode())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes(content):
    check_file(content)
