"""CONTRIBUTING.md names what is there, and every folder of the house; fragments are list items."""

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PROSE = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
CODE = re.findall(r"`([^`]+)`", PROSE) + re.findall(r"^    (\S.*)$", PROSE, re.MULTILINE)
WORDS = {word for code in CODE for word in code.split()}
PATHS = {word for word in WORDS if "/" in word and not re.search(r"<|\.venv|/\.\.\.", word)}
MODULES = {word for word in WORDS if re.fullmatch(r"pipeline(\.\w+)+", word)} - PATHS
FRAGMENTS = [path for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md"]


def test_paths_are_looked_for():
    assert len(PATHS) > 50 and "pipeline.checks.schemas" in MODULES


@pytest.mark.parametrize("path", sorted(PATHS))
def test_every_path_exists(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_module_exists(module):
    path = ROOT.joinpath(*module.split("."))
    assert path.is_dir() or path.with_suffix(".py").exists()


def test_every_floor_of_the_house_has_its_place():
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    names = re.findall(r"\w+", contracts["importlinter:contract:layers"]["layers"])
    house = TEXT[TEXT.index("## The house") : TEXT.index("## A new kind")]
    found = re.findall(r"`pipeline/(\w+)(?:\.py)?`", house[: house.index("\n\nIn `pipeline/")])
    assert list(dict.fromkeys(found)) == names


def test_every_family_is_named():
    families = {path.parent.name for path in ROOT.glob("pipeline/*/union.py")}
    assert families <= set(re.findall(r"`pipeline/(\w+)`", TEXT))


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_a_fragment_is_a_list_item(path):
    assert re.fullmatch(r"[a-z0-9_]+\.md", path.name)
    text = path.read_text(encoding="utf-8")
    assert re.fullmatch(r"(- \S.*\n(  \S.*\n)*)+", text)
    assert max(map(len, text.splitlines())) <= 120
