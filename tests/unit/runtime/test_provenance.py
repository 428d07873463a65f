import json
import math
import os
from pathlib import Path

import grimp
import numpy as np
import pytest

from pipeline import experiment
from pipeline.kinds import entry_modules
from pipeline.runtime import digest as digests
from pipeline.runtime import provenance
from pipeline.runtime.digest import (
    NEUTRAL,
    is_neutral,
    shaping_source,
    source_closure,
    source_digest,
)

ROOT = Path(__file__).parents[3]
EXPERIMENT = experiment.load(ROOT / "workflow/config/default.yaml")
FLOWS = experiment.load(ROOT / "workflow/config/experiments/taylor_green.yaml")
PARTS = {
    name: part
    for section in (EXPERIMENT.datasets, FLOWS.datasets, EXPERIMENT.runs, EXPERIMENT.bounds)
    for name, part in section.items()
}
ENTRIES = {name: entry_modules(part) for name, part in PARTS.items()} | {
    "certify": ("pipeline.certification.stage",),
    "aggregate": ("pipeline.aggregate.stage",),
}


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("pipeline", cache_dir=None)


@pytest.mark.parametrize("name", ENTRIES)
def test_digest_covers_exactly_the_import_graph(graph, name):
    expected, pending = set(), list(ENTRIES[name])
    while pending:
        module = pending.pop()
        if module in expected or is_neutral(module):
            continue
        expected.add(module)
        pending.extend(graph.find_modules_directly_imported_by(module))
        pending.extend({module.rpartition(".")[0]} - {""})
    assert source_closure(*ENTRIES[name]) == expected


def test_an_edit_changes_only_the_digests_that_see_it(tmp_path, monkeypatch):
    package = tmp_path / "pipeline"
    package.mkdir()
    for name, text in {"__init__": "", "a": "from pipeline import b", "b": "", "c": ""}.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.setattr(digests, "ROOT", tmp_path)
    digest = source_digest
    before = digest("pipeline.a"), digest("pipeline.c")
    (package / "b.py").write_text("x = 1\n")
    after = digest("pipeline.a"), digest("pipeline.c")
    assert before[0] != after[0] and before[1] == after[1]


CONFIGURATION = """
\'\'\'Words of the module.\'\'\'
class A(Kind):
    \'\'\'Words ü of the class.\'\'\'
    lifecycle = "experimental"
    divides: ClassVar[bool] = True

    kind: Literal["a"]
    width: Size = Field(default=3, description="Words.")

    def title(self) -> str:
        \'\'\'Words.\'\'\'
        return "A"

    def fits(self) -> bool:
        \'\'\'Words.\'\'\'
        return self.width > 1
"""


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("Words of the module.", "Other words, with more letters ∂.", False),
        ("Words ü of the class.", "Other words.", False),
        ('description="Words."', 'description="Other words" " in two parts."', False),
        ('return "A"', 'return "B"', False),
        ('"experimental"', '"stable"', False),
        ("divides: ClassVar[bool] = True", "divides: ClassVar[bool] = False", True),
        ("default=3", "default=4", True),
        ("width > 1", "width > 2", True),
        ('Literal["a"]', 'Literal["b"]', True),
    ],
)
def test_words_of_a_configuration_do_not_count(old, new, counts):
    assert CONFIGURATION.count(old) == 1
    before, after = (
        shaping_source(text.encode()) for text in (CONFIGURATION, CONFIGURATION.replace(old, new))
    )
    assert (before != after) == counts


def test_words_count_for_reports_alone(tmp_path, monkeypatch):
    package = tmp_path / "pipeline"
    (package / "a").mkdir(parents=True)
    for name in ("__init__", "a/__init__", "wording", "report"):
        (package / f"{name}.py").write_text("")
    (package / "train.py").write_text("from pipeline.a import config")
    (package / "a/config.py").write_text(CONFIGURATION)
    monkeypatch.setattr(digests, "ROOT", tmp_path)

    def both():
        return digests.report_digest("pipeline.report"), source_digest("pipeline.train")

    before = both()
    (package / "a/config.py").write_text(CONFIGURATION.replace('"A"', '"B"'))
    retitled = both()
    (package / "wording.py").write_text("x = 1")
    reworded = both()
    assert len({before[0], retitled[0], reworded[0]}) == 3
    assert before[1] == retitled[1] == reworded[1]


def test_an_operator_does_not_depend_on_what_pinns_are_made_of():
    closure = source_closure(*ENTRIES["burgers_fno"])
    others = ("training.pinn", "estimators", "problems", "networks", "packing", "aggregate")
    assert not [x for x in closure if x.startswith(tuple(f"pipeline.{name}" for name in others))]


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """A package `page` that fills templates, and another one that `page` knows nothing of."""
    for folder in ("", "page", "other"):
        (tmp_path / "pipeline" / folder).mkdir()
        (tmp_path / "pipeline" / folder / "__init__.py").write_text("")
    for name in ("page/write.py", "page/a.html.j2", "page/b.html.j2", "other/c.html.j2"):
        (tmp_path / "pipeline" / name).write_text("")
    (tmp_path / "pipeline" / "other" / "write.py").write_text("")
    monkeypatch.setattr(digests, "ROOT", tmp_path)
    return tmp_path / "pipeline"


def test_a_template_counts_for_what_imports_its_folder(pages):
    def digest():
        return source_digest("pipeline.page.write"), source_digest("pipeline.other.write")

    before = digest()
    (pages / "page" / "a.html.j2").write_text("# An edit.")
    edited = digest()
    assert edited[0] != before[0] and edited[1] == before[1]
    # What no module of the folder reads, and what lies in a folder below that is no package.
    (pages / "page" / "notes.txt").write_text("x")
    (pages / "page" / "drafts").mkdir()
    (pages / "page" / "drafts" / "d.html.j2").write_text("x")
    assert digest() == edited
    # The text of one template under the name of another is another report.
    (pages / "page" / "a.html.j2").write_text("")
    assert digest() == before
    (pages / "page" / "b.html.j2").write_text("# An edit.")
    assert digest()[0] not in (before[0], edited[0])


def test_a_moved_checkout_has_the_same_digest(pages, tmp_path, monkeypatch):
    (pages / "page" / "a.html.j2").write_text("x")
    before = source_digest("pipeline.page.write")
    (tmp_path / "moved").mkdir()
    pages.rename(tmp_path / "moved" / "pipeline")
    monkeypatch.setattr(digests, "ROOT", tmp_path / "moved")
    assert source_digest("pipeline.page.write") == before


def test_every_template_lies_in_a_package_whose_digest_counts_it():
    templates = sorted(ROOT.joinpath("pipeline").rglob("*.j2"))
    assert templates and all((path.parent / "__init__.py").exists() for path in templates)
    modules = source_closure("pipeline.aggregate.stage", "pipeline.aggregate.across.write")
    assert digests._templates_of(modules) == templates


def test_neutral_modules_exist():
    for module in NEUTRAL:
        assert (ROOT / (module.replace(".", "/") + ".py")).exists()


def test_record_is_written_only_on_success(tmp_path):
    path = tmp_path / "run.json"
    part = EXPERIMENT.bounds["packing_d8"]
    arguments = {"stage": "search", "name": "x", "seed": 3, "config": part, "source": "abc"}
    with pytest.raises(RuntimeError), provenance.record(path, **arguments):
        raise RuntimeError
    assert not path.exists()
    with provenance.record(path, **arguments) as summary:
        summary["bound"] = 0.25
    found = json.loads(path.read_text())
    assert found["summary"] == {"bound": 0.25}
    assert found["config"]["formulation"]["dim"] == 8
    assert found["versions"]["torch"].startswith("2.13.0")
    assert found["hardware"]["cores"] >= 1 and found["peak_memory_mb"] > 1


@pytest.fixture
def recorded(tmp_path):
    def make(**numbers) -> dict:
        path = tmp_path / "run.json"
        part = EXPERIMENT.bounds["packing_d8"]
        with provenance.record(
            path, stage="search", name="x", seed=3, config=part, source="abc"
        ) as summary:
            summary |= numbers
        return json.loads(path.read_text())

    return make


@pytest.mark.parametrize(
    ("git", "timeout"),
    [
        (None, 10),
        ("echo 'fatal: detected dubious ownership' >&2; exit 128", 10),
        ("exec sleep 600", 0.2),
        (r"printf '\377\376'; exit 1", 10),
    ],
    ids=["none", "another owner", "hangs", "other letters"],
)
def test_no_git_costs_no_result(recorded, tmp_path, monkeypatch, git, timeout):
    folder = tmp_path / "bin"
    folder.mkdir()
    if git is not None:
        (folder / "git").write_text(f"#!/bin/sh\n{git}\n")
        (folder / "git").chmod(0o755)
        # Behind it, for what the script calls.
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    else:
        monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(provenance, "_GIT_TIMEOUT_S", timeout)
    found = recorded(bound=1)
    assert (found["commit"], found["dirty"]) == ("unknown", None)


def test_a_copy_inside_another_repository_has_no_commit(recorded, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    for arguments in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "theirs")):
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        provenance.subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True)
    found = recorded()
    assert found["commit"] == "unknown"


def test_a_strange_machine_costs_no_result(recorded, monkeypatch):
    def fails(*_):
        raise ValueError("never heard of it")

    for name in ("_commit", "_processor", "version"):
        monkeypatch.setattr(provenance, name, fails)
    monkeypatch.setattr(provenance.memory, "_processes", fails)
    monkeypatch.setattr(provenance.memory, "_largest_of_one", fails)
    monkeypatch.setattr(provenance.os, "sysconf", fails)
    monkeypatch.setattr(provenance.os, "sched_getaffinity", fails)
    found = recorded(bound=1)
    assert found["summary"] == {"bound": 1} and found["peak_memory_mb"] is None
    assert found["hardware"]["memory_mb"] is None and list(found["versions"]) == ["python"]


def test_numbers_that_json_lacks_cost_no_result(recorded):
    numbers = {"a": math.nan, "b": [np.float32(0.5), -math.inf], "c": np.int64(3), "d": Path("x")}
    assert recorded(**numbers)["summary"] == {"a": None, "b": [0.5, None], "c": 3, "d": "x"}
