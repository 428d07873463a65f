"""Make the report of an experiment, or one report over several, from what there is now.

  python -m pipeline.aggregate NAME       results/NAME/{report.html,summary.parquet,summary.txt}
  python -m pipeline.aggregate A B ...    results/compared/compared.{html,parquet,txt}

NAME is that of an experiment in results/, or the path of such a folder. What failed, is damaged or
is not made yet is a row with its reason. No experiment file is needed: results/NAME/experiment.json
holds the experiment. Over several experiments: the same runs over seeds with mean and standard
error, differing settings by key, bounds side by side, data sets that are shared.

Exit status: 0 everything is there, 1 something is missing (the report is written all the same) or
cannot be written, 2 wrong usage.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.aggregate import console, stage
from pipeline.aggregate.across import experiments, text, write
from pipeline.aggregate.read import asked, folders
from pipeline.errors import PipelineError
from pipeline.runtime import terminal
from pipeline.runtime.digest import report_digest

COMPARED = Path("results/compared")


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status of `python -m pipeline.aggregate`."""
    parser = argparse.ArgumentParser(
        "python -m pipeline.aggregate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("experiments", nargs="+", metavar="NAME", help="an experiment, or its folder of results")
    option("--output", type=Path, metavar="FOLDER", help=f"comparison (default: {COMPARED})")
    option("--data", type=Path, metavar="FOLDER", help="data sets (default: data, beside results)")
    options = parser.parse_args(arguments)
    terminal.tolerate()
    # A comparison of one is what a pattern that fits one experiment asks for.
    if len(options.experiments) == 1 and options.output is None:
        return one(options.experiments[0], options.data)
    return several(options.experiments, options.data, options.output or COMPARED)


def one(name: str, data: Path | None) -> int:
    """Write the report of one experiment, print its closing table and return the exit status."""
    try:
        results = folders.find(name)
        experiment = asked.experiment(results)
    except PipelineError as error:
        return _fail(error, 2)
    source, data = report_digest("pipeline.aggregate.stage"), data or folders.data_of(results)
    status = 0
    try:
        found = stage.run(stage.job_of(experiment, results, source), experiment, data=data)
    except stage.IncompleteError as error:
        status, found = _fail(error, 1), error.results
    except (PipelineError, OSError) as error:
        return _fail(error, 1)
    print(console.closing_table(found, results / stage.REPORT, _width()), end="")
    return status


def several(names: Sequence[str], data: Path | None, output: Path) -> int:
    """Write the comparison of experiments, print it and return the exit status."""
    try:
        write.check_free(output)
        members = experiments.members(names, data)
    except PipelineError as error:
        return _fail(error, 2)
    try:
        write.write(members, output)
    except PipelineError as error:
        return _fail(error, 1)
    print(text.compared_text(members, output / write.PAGE, _width()), end="")
    lacking = [member.label for member in members if member.results.missing]
    if lacking:
        return _fail(f"{output / write.PAGE}: incomplete: {', '.join(lacking)}", 1)
    return 0


def _width() -> int:
    return shutil.get_terminal_size((console.WIDTH, 24)).columns


def _fail(error: Exception | str, status: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
