"""The sections of the report: all are listed, and one with nothing to show is not there."""

import re
import shutil
from pathlib import Path
from types import ModuleType

import finished_experiment as finished
import pytest

from pipeline.aggregate import report, sections
from pipeline.aggregate.read.collect import collect
from pipeline.aggregate.report import SECTIONS, render
from pipeline.aggregate.sections import flows

FOLDER = Path(sections.__file__).parent
NOTHING = {"datasets": {}, "runs": {}, "bounds": {}}
RAW = finished.RAW
# Of any experiment: what it was, and that nothing was computed.
ALWAYS = {"provenance", "configuration"}
RUNS = {"headlines", "runs", "curves", "predictions"}
BOUNDS = {"headlines", "bounds", "convergence", "proofs"}
SAMPLED = {key: part for key, part in RAW["datasets"].items() if key != "vortex"}
ONE_BOUND = {"packing_d8": RAW["bounds"]["packing_d8"]}


def without_published(kind, **estimator):
    problem = {"kind": kind, "dim": 37}
    return finished.PINN | {"problem": problem, "train": {"num_steps": 60}} | estimator


VARIED = {
    f"s{b}": without_published("two_body", estimator={"kind": "sdgd", "sampled_axes": b})
    for b in (1, 4)
}


def found(root, **parts):
    """Write the experiment and return what there is of it."""
    experiment = finished.experiment(**NOTHING | parts)
    data, results = finished.write_all(root, experiment)
    return collect(experiment, data=data, results=results)


def shown(results):
    return {section.NAME for section in SECTIONS if section.build(results) is not None}


def test_the_list_names_every_module_of_the_folder():
    modules = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "base"}
    names = [section.NAME for section in SECTIONS]
    assert set(names) == modules and len(names) == len(modules)
    for section in SECTIONS:
        assert isinstance(section, ModuleType)
        assert section.__name__ == f"{sections.__name__}.{section.NAME}"


def test_every_section_has_one_template_and_every_template_a_section():
    templates = {path.name for path in FOLDER.glob("*.j2")}
    assert templates == {f"{section.NAME}.html.j2" for section in SECTIONS}


def test_links_lead_to_headings_of_their_own_templates():
    links = [section.LINK for section in SECTIONS if section.LINK]
    assert len(set(links)) == len(links)
    for section in SECTIONS:
        template = (FOLDER / f"{section.NAME}.html.j2").read_text(encoding="utf-8")
        anchors = [section.LINK.anchor] if section.LINK else []
        assert re.findall(r'<h2 id="([a-z]+)"', template) == anchors


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, set()),
        ({"datasets": SAMPLED}, {"datasets"}),
        ({"datasets": {"vortex": RAW["datasets"]["vortex"]}}, {"datasets", "flows"}),
        ({"runs": {"x": RAW["runs"]["sine_sdgd"]}}, RUNS | {"skill", "comparison"}),
        ({"runs": {"x": without_published("schroedinger")}}, RUNS | {"skill"}),
        ({"runs": VARIED}, RUNS | {"skill", "ablation"}),
        ({"bounds": ONE_BOUND}, BOUNDS),
    ],
    ids=["nothing", "samples", "flow", "published run", "run", "ablation", "bound"],
)
def test_a_section_is_there_exactly_if_it_has_something_to_show(tmp_path, parts, expected):
    results = found(tmp_path, **parts)
    assert shown(results) == expected | ALWAYS
    # What stands under another's heading is never without it.
    heading_is_shown = False
    for section in SECTIONS:
        there = section.NAME in expected | ALWAYS
        heading_is_shown = there if section.LINK else heading_is_shown
        assert heading_is_shown or not there


def test_runs_without_a_skill_and_searches_without_a_ladder_have_no_such_figure(tmp_path):
    results = found(tmp_path, runs={"x": without_published("schroedinger")}, bounds=ONE_BOUND)
    del results.runs[0].record["summary"]["skill"]
    results.bounds[0].trace["evaluations"].clear()
    assert shown(results) == (RUNS | BOUNDS | ALWAYS) - {"convergence"}


def test_of_what_is_missing_only_that_is_told(tmp_path):
    experiment = finished.experiment()
    data, results = finished.write_all(tmp_path, experiment)
    shutil.rmtree(data)
    shutil.rmtree(results)
    missing = collect(experiment, data=data, results=results)
    assert shown(missing) == {"missing"} | ALWAYS
    html = render(missing)
    assert html.count("<h2") == 3 and "Nothing was computed." in html


def test_the_frame_knows_no_section(tmp_path, monkeypatch):
    results = found(tmp_path, datasets={"vortex": RAW["datasets"]["vortex"]}, bounds=ONE_BOUND)
    monkeypatch.setattr(report, "SECTIONS", ())
    frame = render(results)
    assert re.search(r"<nav[^>]*>\s*</nav>", frame) and "<table" not in frame
    monkeypatch.setattr(report, "SECTIONS", (flows,))
    with_flows = render(results)
    # No heading of the navigation: one more piece of the page, a blank line before it.
    first, last = frame.split("</header>\n")
    assert with_flows.startswith(first) and with_flows.endswith(last)
    assert "</header>\n\n<h3>Flows</h3>" in with_flows
