"""The aggregate stage: finished results in, summary table, report and closing table out."""

import os
from pathlib import Path

from pipeline import config
from pipeline.aggregate.collect import collect
from pipeline.aggregate.console import closing_table
from pipeline.aggregate.report import render
from pipeline.aggregate.table import summary_table
from pipeline.provenance import record

SUMMARY, TABLE, REPORT, RECORD = "summary.parquet", "summary.txt", "report.html", "run.json"


def run(experiment: config.Experiment, *, data: Path, results: Path, source: str) -> None:
    """Write summary.parquet, summary.txt, report.html and, last, run.json to `results`.

    summary.parquet: all numbers, one a row (`table`). summary.txt: the few lines that close a run
    on the screen, the report's path last. report.html: one self-contained page.

    Reads `data/<name>.run.json` and, in `results`, train/<name>/, search/<name>/ and
    certify/<name>/ for the names in `experiment`; any part may be empty. The same inputs give the
    same bytes, but for the record. Nothing is written unless everything could be read.

    Raises:
        ResultError: see `collect`.
    """
    with record(
        results / RECORD, stage="aggregate", name="summary", seed=experiment.seed,
        config=experiment, source=source,
    ) as numbers:  # fmt: skip
        collected = collect(experiment, data=data, results=results)
        table, html = summary_table(collected), render(collected)
        temporary = _temporary(results / SUMMARY)
        table.to_parquet(temporary, index=False)
        os.replace(temporary, results / SUMMARY)
        for name, text in ((TABLE, closing_table(collected, results / REPORT)), (REPORT, html)):
            temporary = _temporary(results / name)
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, results / name)
        numbers |= {"num_rows": len(table), "report_bytes": len(html.encode())}
    print(f"aggregate: {len(table)} numbers in {results / SUMMARY}, report {results / REPORT}")


def _temporary(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")
