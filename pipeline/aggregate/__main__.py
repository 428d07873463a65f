"""Make the report of an experiment from what there is of it now.

  python -m pipeline.aggregate NAME           results/NAME/{report.html,summary.parquet,summary.txt}

NAME is that of an experiment in results/, or the path of such a folder. What failed, is damaged or
is not made yet is a row with its reason. No experiment file is needed: results/NAME/experiment.json
holds the experiment.

Exit status: 0 everything is there, 1 something is missing (the report is written), 2 wrong usage.
"""

import argparse
import shutil
import sys
from pathlib import Path

from pipeline.aggregate import asked, console, folders, stage
from pipeline.errors import PipelineError
from pipeline.provenance import source_digest


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status of `python -m pipeline.aggregate`."""
    parser = argparse.ArgumentParser(
        "python -m pipeline.aggregate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", metavar="NAME", help="experiment, or its folder")
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="data sets (default: data, beside results)"
    )
    options = parser.parse_args(arguments)
    return one(options.experiment, options.data)


def one(name: str, data: Path | None) -> int:
    """Write the report of one experiment, print its closing table and return the exit status."""
    try:
        results = folders.find(name)
        experiment = asked.experiment(results)
    except PipelineError as error:
        return _fail(error, 2)
    source, data = source_digest("pipeline.aggregate.stage"), data or folders.data_of(results)
    status = 0
    try:
        found = stage.run(experiment, data=data, results=results, source=source)
    except stage.IncompleteError as error:
        status, found = _fail(error, 1), error.results
    except (PipelineError, OSError) as error:
        return _fail(error, 1)
    width = shutil.get_terminal_size((console.WIDTH, 24)).columns
    print(console.closing_table(found, results / stage.REPORT, width), end="")
    return status


def _fail(error: Exception, status: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
