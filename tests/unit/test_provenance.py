import json
from pathlib import Path

import grimp
import pytest

from pipeline import experiment, provenance
from pipeline.stages import entry_modules

ROOT = Path(provenance.__file__).parent.parent
EXPERIMENT = experiment.load(ROOT / "workflow/config/default.yaml")
FLOWS = experiment.load(ROOT / "workflow/config/experiments/taylor_green.yaml")
PARTS = {
    name: part
    for section in (EXPERIMENT.datasets, FLOWS.datasets, EXPERIMENT.runs, EXPERIMENT.bounds)
    for name, part in section.items()
}
ENTRIES = {name: entry_modules(part) for name, part in PARTS.items()} | {
    "certify": ("pipeline.certify.verify",),
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
        if module in expected or module in provenance.NEUTRAL:
            continue
        expected.add(module)
        pending.extend(graph.find_modules_directly_imported_by(module))
        pending.extend({module.rpartition(".")[0]} - {""})
    assert provenance.source_closure(*ENTRIES[name]) == expected


def test_an_edit_changes_only_the_digests_that_see_it(tmp_path, monkeypatch):
    package = tmp_path / "pipeline"
    package.mkdir()
    for name, text in {"__init__": "", "a": "from pipeline import b", "b": "", "c": ""}.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    digest = provenance.source_digest
    before = digest("pipeline.a"), digest("pipeline.c")
    (package / "b.py").write_text("x = 1\n")
    after = digest("pipeline.a"), digest("pipeline.c")
    assert before[0] != after[0] and before[1] == after[1]


def test_neutral_modules_exist():
    for module in provenance.NEUTRAL:
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
