"""Every kind says whether it is experimental or stable, and a stable one has numbers to show."""

import importlib
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from pipeline.kinds import Kind

ROOT = Path(__file__).parents[2]
CONFIGS = [
    path.relative_to(ROOT).with_suffix("")
    for union in sorted(ROOT.glob("pipeline/*/union.py"))
    for path in sorted(union.parent.glob("*/config.py"))
]
KINDS = {
    kind: found
    for path in CONFIGS
    for found in vars(importlib.import_module(".".join(path.parts))).values()
    if isinstance(found, type) and issubclass(found, Kind) and "kind" in found.model_fields
    for kind in get_args(found.model_fields["kind"].annotation)
}


def test_every_folder_of_a_kind_is_looked_at():
    folders = {path.parent.name for path in CONFIGS if path.parts[1] != "training"}
    assert folders <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_where_it_is_in_its_life(kind):
    allowed = get_args(get_args(get_type_hints(Kind)["lifecycle"])[0])
    assert allowed == ("experimental", "stable")
    # In so many words: what a kind inherits says nothing of it.
    assert vars(KINDS[kind])["lifecycle"] in allowed


def mentions(kind: str, *patterns: str) -> bool:
    name = re.compile(rf"(?<![a-z]){kind.replace('_', '[_ –-]')}(?![a-z])", re.IGNORECASE)
    files = (path for pattern in patterns for path in ROOT.glob(pattern))
    return any(name.search(path.read_text(encoding="utf-8")) for path in files)


@pytest.mark.parametrize("kind", [k for k, found in KINDS.items() if found.lifecycle == "stable"])
def test_a_stable_kind_is_documented_and_measured(kind):
    assert mentions(kind, "docs/*.md")
    golden = ("tests/golden/test_certificates.py", "tests/workflow/smoke.yaml")
    assert mentions(kind, "benchmarks/results/*.md", *golden)
