"""The aggregate stage: what there is in, summary table, report and closing table out."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pipeline.aggregate.console import closing_table
from pipeline.aggregate.read.collect import collect
from pipeline.aggregate.read.results import Results
from pipeline.aggregate.report import render
from pipeline.aggregate.sections import missing
from pipeline.aggregate.table import summary_table
from pipeline.config import Experiment
from pipeline.errors import ResultError
from pipeline.runtime import disk
from pipeline.runtime.job import Job

# What its record calls it.
NAME = "summary"
SUMMARY, TABLE, REPORT, RECORD = "summary.parquet", "summary.txt", "report.html", "run.json"
# The record of a report that lacks something. No file of the workflow: the rule that owns
# `RECORD` runs again as long as that is not there.
INCOMPLETE = "incomplete.json"


class IncompleteError(ResultError):
    """The report is written, and parts of the experiment have no result: `results` says which."""

    def __init__(self, report: Path, results: Results):
        first, *others = results.missing
        super().__init__(
            f"{report}: {missing.summary(results)}: {first.stage} {first.name}: {first.reason}"
            + ("; the others are named there" if others else "")
        )
        self.results = results


def job_of(experiment: Experiment, results: Path, source: str) -> Job:
    """Return the job that makes the report of an experiment outside the workflow."""
    return Job("aggregate", NAME, experiment.seed, source, results / RECORD)


def run(job: Job, experiment: Experiment, *, data: Path) -> Results:
    """Write summary.parquet, summary.txt, report.html and, last, the record; return what was found.

    summary.parquet: all numbers, one a row, and the reason of each part without one (`table`).
    summary.txt: the few lines that close a run on the screen, the report's path last. report.html:
    one self-contained page. The same inputs give the same bytes, but for the record.

    Everything is written whatever is missing. The record is run.json if nothing is, and else
    incomplete.json, with the reasons; the other of the two is removed.

    Reads what `collect` reads; any part may be empty.

    Raises:
        IncompleteError: after everything is written, if a part has no result.
    """
    results = job.output
    found = collect(experiment, data=data, results=results)
    # First: a run that is killed here must not leave the record of an earlier report.
    for name in (RECORD, INCOMPLETE):
        with suppress(FileNotFoundError, NotADirectoryError):
            (results / name).unlink()
    whole = replace(job, record=results / (INCOMPLETE if found.missing else RECORD))
    with whole.running(experiment, files=(SUMMARY, TABLE, REPORT)) as work:
        table, html = summary_table(found), render(found)
        with disk.replacing(results / SUMMARY) as temporary:
            table.to_parquet(temporary, index=False)
        for name, text in ((TABLE, closing_table(found, results / REPORT)), (REPORT, html)):
            with disk.replacing(results / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
        work.summary |= {"num_rows": len(table), "report_bytes": len(html.encode())}
        if found.missing:
            work.summary["missing"] = [
                {"stage": x.stage, "name": x.name, "status": x.status, "reason": x.reason}
                for x in found.missing
            ]
    print(f"aggregate: {len(table)} rows in {results / SUMMARY}, report {results / REPORT}")
    if found.missing:
        raise IncompleteError(results / REPORT, found)
    return found
