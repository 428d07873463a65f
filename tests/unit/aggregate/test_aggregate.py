"""Aggregation: what may be called proved, what is refused, and a report that stands alone."""

import json
import os
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from html.parser import HTMLParser

import finished_experiment as finished
import numpy as np
import pandas as pd
import pytest

from pipeline.aggregate import stage
from pipeline.aggregate.read.collect import collect
from pipeline.aggregate.sections import ablation
from pipeline.aggregate.table import COLUMNS, summary_table

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Collects texts, attributes and unbalanced tags of a page."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.scripts = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, key, value or "") for key, value in attrs]

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def aggregate(parts, data, results):
    """Run the stage; return the summary table and the report's text."""
    stage.run(stage.job_of(parts, results, "f" * 64), parts, data=data)
    html = (results / "report.html").read_text(encoding="utf-8")
    return pd.read_parquet(results / "summary.parquet"), html


def only_missing(parts, data, results):
    """Return the one part without a result; its reason is one line."""
    (part,) = collect(parts, data=data, results=results).missing
    assert part.reason and part.reason.isprintable()
    return part


def copy(folder, target):
    """Copy the inputs of the stage in `folder`, without what it wrote itself, below `target`."""
    written = shutil.ignore_patterns("report.html", "summary.*")
    return shutil.copytree(folder, target / folder.name, ignore=written)


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """One experiment with everything in it, aggregated; not to be changed."""
    parts = finished.experiment()
    data, results = finished.write_all(tmp_path_factory.mktemp("complete"), parts)
    return parts, data, results, *aggregate(parts, data, results)


@pytest.fixture
def packing(tmp_path):
    """One bound on disk, to be tampered with."""
    bounds = {"packing_d8": finished.RAW["bounds"]["packing_d8"]}
    parts = finished.experiment(datasets={}, runs={}, bounds=bounds)
    return parts, *finished.write_all(tmp_path, parts)


def test_the_table_is_tidy(complete):
    table = complete[3]
    assert list(table.columns) == list(COLUMNS)
    assert set(table["label"]) == {"proved", "published", "empirical"}
    assert not table.duplicated(["stage", "name", "quantity"]).any()
    assert table["value"].notna().all()
    row = table[(table["name"] == "sine_sdgd") & (table["quantity"] == "skill")].iloc[0]
    assert (row["value"], row["dim"], row["label"]) == (25.0, 1000, "empirical")
    steps = table[(table["name"] == "sine_full") & (table["quantity"] == "num_steps")]
    assert steps["value"].item() == 60


def test_proved_rows_are_the_verdicts_and_never_rounded_below(complete):
    table = complete[3]
    proved = table[table["label"] == "proved"]
    assert set(proved["quantity"]) == {"upper_bound"} and set(proved["stage"]) == {"certify"}
    assert dict(zip(proved["dim"], proved["text"], strict=True)) == finished.PROVED
    for text, value in zip(proved["text"], proved["value"], strict=True):
        assert Decimal(text) <= Decimal(value) <= Decimal(text) * (1 + Decimal("3e-16"))


def test_each_bound_is_compared_with_the_best_and_with_its_own_formulation(complete):
    table = complete[3]
    rows = table[table["label"] == "published"].set_index(["name", "quantity"])["text"]
    assert rows["packing_d12", "published_upper_bound"] == "0.0797117710668987"
    assert rows["packing_d12", "published_peer_bound"] == "0.083775831"
    assert rows["packing_d12", "best_known_packing"] == "0.0494541766242"
    # Where the two-point bound is sharp there is one published value.
    assert ("packing_d8", "published_peer_bound") not in rows.index
    gaps = table[table["quantity"] == "relative_gap_to_published"].set_index("name")["value"]
    assert gaps["packing_d12"] == pytest.approx(0.08377583112 / 0.0797117710668987 - 1, rel=1e-12)
    assert list(gaps.index) == ["packing_d8", "packing_d12", "packing_d24"]


def test_the_report_shows_proved_bounds_rounded_upward(complete):
    html = complete[4]
    for bound in finished.PROVED.values():
        assert f"density ≤ {bound}" in html
        shown = [Decimal(x) for x in re.findall(r"<strong>≤ ([0-9.]+)</strong>", html)]
        above = [x for x in shown if Decimal(bound) <= x <= Decimal(bound) * (1 + Decimal("1e-12"))]
        assert len(above) == 1


def test_the_report_stands_alone(complete):
    page = Page(complete[4])
    assert page.open == [] and page.scripts == 0
    for tag, key, value in page.attributes:
        if key in ("src", "href", "xlink:href", "action", "data", "srcset"):
            assert value.startswith(("#", "data:image/png;base64,")), f"<{tag} {key}={value[:60]}>"
        assert "://" not in value, f"<{tag} {key}={value[:60]}>"
    assert "@import" not in complete[4]
    # url() may only name a part of the page itself.
    assert re.findall(r"url\((?!#)", complete[4]) == []
    identifiers = [value for _, key, value in page.attributes if key == "id"]
    assert len(identifiers) == len(set(identifiers))
    used = [v[1:] for _, key, v in page.attributes if key == "href" and v.startswith("#")]
    used += re.findall(r"url\(#([^)]*)\)", complete[4])
    assert used and set(used) <= set(identifiers)


def test_the_report_holds_every_section(complete):
    page = Page(complete[4])
    for text in (
        "4 training runs, 3 bounds (3 proved); seed 7",
        "sine-Gordon, two-body solution, d = 1,000, Σc = 0",
        "E8",
        "0.0797117710668987",
        "three-point",
        "0.410% at 256 points",
        "0123456789 + edits",
        "num_test_points: 20000",
        "python-flint",
    ):
        assert text in page.text, text
    svgs = sum(tag == "svg" and key == "viewbox" for tag, key, _ in page.attributes)
    assert svgs == 11  # loss, error, skill, convergence, one of each run and of each bound


PROGRAM = """
import sys
from pathlib import Path
from pipeline import experiment
from pipeline.aggregate import stage
parts = experiment.load(sys.argv[1])
stage.run(stage.job_of(parts, Path("results"), "0" * 64), parts, data=Path("data"))
"""


def test_another_process_writes_the_same_bytes(complete, tmp_path):
    parts, data, results, _, html = complete
    copy(data, tmp_path), copy(results, tmp_path)
    file = tmp_path / "experiment.yaml"
    file.write_text(json.dumps(parts.model_dump(mode="json")))
    subprocess.run(
        [sys.executable, "-c", PROGRAM, file.name],
        env={**os.environ, "PYTHONHASHSEED": "1", "LC_ALL": "C"},
        cwd=tmp_path,
        check=True,
    )
    there = tmp_path / "results"
    for name in ("summary.parquet", "report.html"):
        assert (there / name).read_bytes() == (results / name).read_bytes()
    record = json.loads((there / "run.json").read_text())
    assert (record["stage"], record["source_digest"]) == ("aggregate", "0" * 64)
    # No temporary file is left beside the outputs.
    assert {path.name for path in there.iterdir() if path.is_file()} == {
        "report.html", "run.json", "summary.parquet", "summary.txt"
    }  # fmt: skip


def test_a_rejected_verdict_is_shown_as_such_and_nothing_is_proved(packing):
    parts, data, results = packing
    condition = "P̂(z) ≥ 0: negative at z = 3/7 <script>alert(1)</script>"
    finished.reject(results, "packing_d8", parts.bounds["packing_d8"], condition)
    table, html = aggregate(parts, data, results)
    row = table[table["quantity"] == "upper_bound"].iloc[0]
    assert row["label"] == "rejected" and row["detail"] == condition
    assert pd.isna(row["value"]) and pd.isna(row["text"])
    assert "proved" not in set(table["label"])
    # The solver's claim stays in the table as its own, and does not reach the report.
    claim = table[table["text"] == finished.PROVED[8]]
    assert claim["quantity"].tolist() == ["solver_value"]
    assert claim["label"].tolist() == ["empirical"]
    page = Page(html)
    assert page.scripts == 0 and condition in page.text and "1 bound (0 proved)" in page.text
    assert finished.PROVED[8] not in html and "≤ 0.25" not in html
    assert ("span", "class", "label rejected") in page.attributes
    printed = (results / "summary.txt").read_text(encoding="utf-8")
    assert "rejected" in printed and "proved" not in printed


def test_a_certificate_changed_after_its_verdict_proves_nothing(packing):
    parts, data, results = packing
    candidate = results / "search" / "packing_d8" / "candidate.json"
    finished.edit_json(candidate, bound="0.2")
    with pytest.raises(stage.IncompleteError, match="1 of 1 part without a result"):
        aggregate(parts, data, results)
    part = only_missing(parts, data, results)
    assert (part.stage, part.status) == ("certify", "outdated")
    assert re.search(r"verdict\.json: certificate_sha256: .*rerun certify", part.reason)
    table = pd.read_parquet(results / "summary.parquet")
    assert "proved" not in set(table["label"])
    # What the search measured is still told, as the solver's own.
    assert finished.PROVED[8] in set(table[table["label"] == "empirical"]["text"])
    html = (results / "report.html").read_text(encoding="utf-8")
    assert part.reason in Page(html).text and finished.PROVED[8] not in html


def test_the_solvers_claims_never_reach_a_proved_row(packing):
    parts, data, results = packing
    folder = results / "search" / "packing_d8"
    record = json.loads((folder / "run.json").read_text())
    finished.edit_json(folder / "run.json", summary=record["summary"] | {"bound": "0.26"})
    ladder = [{"parameters": {"degree": 31}, "bound": "0.27"}]
    finished.edit_json(folder / "trace.json", evaluations=ladder)
    table, html = aggregate(parts, data, results)
    assert table[table["label"] == "proved"]["text"].tolist() == [finished.PROVED[8]]
    assert "≤ 0.26" not in html and "≤ 0.27" not in html


def test_a_claim_in_the_certificate_is_no_certificate(packing):
    parts, data, results = packing
    finished.edit_json(results / "search" / "packing_d8" / "candidate.json", bound="0.28")
    finished.write_verdict(results, "packing_d8", parts.bounds["packing_d8"])
    reason = only_missing(parts, data, results).reason
    assert re.search(r"candidate\.json: .*cannot be read \(keys: .*rerun", reason)


def test_an_unreadable_certificate_is_a_rejection_not_an_error(packing):
    parts, data, results = packing
    verdict = {
        "status": "rejected", "bound": None, "failed_condition": "file", "detail": "too large",
        "dim": None, "formulation": None, "certificate_sha256": None, "checks": [],
    }  # fmt: skip
    finished.write_verdict(results, "packing_d8", parts.bounds["packing_d8"], **verdict)
    table, html = aggregate(parts, data, results)
    assert table[table["label"] == "rejected"]["detail"].tolist() == ["file: too large"]
    assert "file: too large" in Page(html).text and "proved" not in set(table["label"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"certificate_sha256": None}, r"certificate_sha256: expected str"),
        ({"status": "rejected"}, r"failed_condition: expected str"),
        ({"status": "rejected", "failed_condition": "x"}, r"bound: expected null"),
        ({"status": "certified"}, r"status: expected 'proved' or 'rejected', got 'certified'"),
        ({"failed_condition": "P(z) ≤ 0"}, r"failed_condition: expected null"),
        ({"bound": None}, r"bound: expected a positive decimal"),
        ({"bound": "NaN"}, r"bound: expected a positive decimal"),
        ({"bound": "-0.3"}, r"bound: expected a positive decimal"),
        ({"bound": 0.26}, r"bound: expected a positive decimal"),
        ({"bound": "0.2536695078"}, r"known packing E8.*unsound"),
        ({"dim": 24}, r"dim: expected 8 as in the experiment, got 24"),
        ({"formulation": "three_point"}, r"formulation: expected 'two_point'"),
        ({"checks": ["all good"]}, r"expected an object with name, detail, got 'all good'"),
        ({"schema_version": 2}, r"schema_version: expected 1, got 2"),
        ({"bound": "1e999"}, r"bound: expected a number within"),
        ({"seconds": True}, r"seconds: expected"),
    ],
)
def test_an_inconsistent_verdict_is_refused(packing, change, message):
    parts, data, results = packing
    finished.write_verdict(results, "packing_d8", parts.bounds["packing_d8"], **change)
    part = only_missing(parts, data, results)
    assert re.search(message, part.reason) and "verdict.json" in part.reason
    assert (part.status == "unsound") == ("unsound" in part.reason)
    table = summary_table(collect(parts, data=data, results=results))
    assert "upper_bound" not in set(table["quantity"])
    assert table[table["quantity"] == "status"]["label"].tolist() == [part.status]


def test_a_verdict_made_by_hand_needs_no_record(packing):
    parts, data, results = packing
    with_record = aggregate(parts, data, results)[1]
    (results / "certify" / "packing_d8" / "run.json").unlink()
    table, html = aggregate(parts, data, results)
    assert "<td>certify</td>" in with_record and "<td>certify</td>" not in html
    assert table[table["label"] == "proved"]["text"].tolist() == [finished.PROVED[8]]


def test_results_of_another_configuration_or_seed_are_refused(packing):
    parts, data, results = packing
    for other, key in (
        ({"seed": 8}, "seed: expected 8"),
        ({"bounds": {"packing_d8": {"formulation": {"kind": "two_point", "dim": 8}}}}, "config"),
    ):
        changed = finished.experiment(
            **({"datasets": {}, "runs": {}, "bounds": parts.bounds} | other)
        )
        part = only_missing(changed, data, results)
        assert (part.stage, part.status) == ("search", "outdated")
        assert re.search(rf"run\.json: {key}.*rerun search", part.reason)


@pytest.mark.parametrize("kept", ["datasets", "pinn", "operators", "bounds", "nothing"])
def test_any_part_may_be_absent(tmp_path, kept):
    raw = finished.RAW
    runs = raw["runs"]
    pinns = {name: run for name, run in runs.items() if "problem" in run}
    operators = {name: run for name, run in runs.items() if "dataset" in run}
    chosen = {
        "datasets": {"runs": {}, "bounds": {}},
        "pinn": {"datasets": {}, "runs": pinns, "bounds": {}},
        "operators": {"runs": operators, "bounds": {}},
        "bounds": {"datasets": {}, "runs": {}},
        "nothing": {"datasets": {}, "runs": {}, "bounds": {}},
    }[kept]
    parts = finished.experiment(**chosen)
    data, results = finished.write_all(tmp_path, parts)
    table, html = aggregate(parts, data, results)
    names = [*parts.datasets, *parts.runs, *parts.bounds]
    assert set(table["name"]) == set(names)
    page = Page(html)
    assert page.open == [] and all(name in page.text for name in names)
    assert (results / "summary.txt").read_text().endswith(f"report: {results}/report.html\n")


def test_a_flow_is_shown_with_its_dissipation(tmp_path):
    parts = finished.experiment(runs={}, bounds={})
    data, results = finished.write_all(tmp_path, parts)
    table, html = aggregate(parts, data, results)
    text = Page(html).text
    assert (
        "Navier–Stokes, Taylor–Green vortex, viscosity 0.0025, until t = 10, 96 × 96 × 96" in text
    )
    assert "21 snapshots" in text and "0.01096" in text and "6.64" in text
    rows = table[(table["name"] == "vortex") & (table["quantity"] == "peak_dissipation")]
    assert list(rows["value"]) == [0.010957] and list(rows["dim"]) == [3]
    assert list(rows["label"]) == ["empirical"]


def test_texts_and_paths_beyond_ascii_survive(tmp_path, packing):
    parts, data, results = packing
    finished.write_verdict(
        results, "packing_d8", parts.bounds["packing_d8"],
        checks=[{"name": "Σ — Предел & <b>", "detail": "μ̂ ≥ 0 「正」"}],
    )  # fmt: skip
    folder = results.rename(tmp_path / "Ergebnisse é")
    page = Page(aggregate(parts, data, folder)[1])
    assert "Σ — Предел & <b>" in page.text and "μ̂ ≥ 0 「正」" in page.text


def test_the_closing_table_is_aligned_and_ends_with_the_report(complete):
    results = complete[2]
    lines = (results / "summary.txt").read_text(encoding="utf-8").splitlines()
    assert lines[-1] == f"report: {results / 'report.html'}"
    header = next(line for line in lines if line.lstrip().startswith("bound "))
    column = header.index("status")
    bounds = [line for line in lines if line.lstrip().startswith("packing_d")]
    assert [line[column:].split()[0] for line in bounds] == ["proved"] * 3
    assert max(map(len, lines[:-1])) <= 120


def test_numbers_of_a_table_equal_those_of_the_records(complete):
    parts, data, results, table, _ = complete
    collected = collect(parts, data=data, results=results)
    pd.testing.assert_frame_equal(summary_table(collected), table)
    for run in collected.runs:
        rows = table[(table["stage"] == "train") & (table["name"] == run.name)]
        rows = rows[rows["label"] == "empirical"]
        assert dict(zip(rows["quantity"], rows["value"], strict=True)) == {
            **run.record["summary"],
            "wall_time_s": 71.3,
            "peak_memory_mb": 812.4,
            "num_steps": run.metrics["step"].max(),
        }


def test_runs_that_differ_in_estimator_and_dimension_are_drawn_together(tmp_path):
    def run(dim, **estimator):
        problem = finished.PINN["problem"] | {"dim": dim}
        return finished.PINN | {"problem": problem, "estimator": estimator}

    runs = {
        **{f"s{b}_{d}": run(d, kind="sdgd", sampled_axes=b) for d in (20, 300) for b in (4, 1, 16)},
        **{f"h{d}": run(d, kind="hutchinson", num_directions=4) for d in (20, 300)},
        "exact": run(300, kind="exact_gram"),
        "longer": run(300, kind="sdgd", sampled_axes=2) | {"train": {"num_steps": 77}},
    }
    parts = finished.experiment(datasets={}, bounds={}, runs=runs)
    data, results = finished.write_all(tmp_path, parts)
    collected = collect(parts, data=data, results=results)
    (group,) = ablation.groups(collected.runs)
    assert [r.name for r in group] == [name for name in runs if name != "longer"]
    figure = ablation.ablation_figure(group)
    columns = np.reshape(figure.axes, (2, 2)).T
    for dim, column in zip((20, 300), columns, strict=True):
        assert column[0].get_title("left") == f"d = {dim}"
        for panel in column:
            lines = {x.get_label(): x for x in panel.get_lines() if len(x.get_xdata())}
            assert lines["sdgd"].get_xdata().tolist() == [1, 4, 16]
            assert lines["hutchinson rademacher"].get_xdata().tolist() == [4]
            assert ("exact_gram" in lines) == (dim == 300)
        # 60 s for 4,000 steps.
        assert column[1].get_lines()[0].get_ydata() == pytest.approx([0.015] * 3)
    # One number of directions is no ablation.
    assert ablation.groups(collected.runs[-3:]) == []
    stage.run(stage.job_of(parts, results, "test"), parts, data=data)
    assert "sampled directions b" in (results / "report.html").read_text()


def test_a_bound_from_the_residual_stands_beside_the_error_with_its_label(tmp_path):
    parts = finished.experiment(bounds={})
    data, results = finished.write_all(tmp_path, parts)
    for name, found in {
        "sine_sdgd": {"error_bound": 0.02, "relative_error_bound": 0.123},
        "sine_full": {"error_bound": 3.0},
    }.items():
        record = results / "train" / name / "run.json"
        summary = json.loads(record.read_text())["summary"]
        finished.edit_json(record, summary=summary | found)
    table = summary_table(collect(parts, data=data, results=results)).set_index("quantity")
    row = table.loc["relative_error_bound"]
    assert (row["value"], row["label"], row["unit"]) == (0.123, "empirical", "1")
    stage.run(stage.job_of(parts, results, "test"), parts, data=data)
    html = (results / "report.html").read_text()
    for name, cell in (("sine_sdgd", "≤ 12.3%"), ("sine_full", "none"), ("darcy_fno", "–")):
        row = re.search(
            rf'<td class="mono">{name}</td><td class="method">.*?</tr>', html, re.DOTALL
        )
        assert re.findall(r'<td class="num">(.*?)</td>', row[0], re.DOTALL)[1] == cell
    assert "Not a proved number" in html
