"""Where every number comes from: stages, commits, digests and machines."""

from pipeline.aggregate.read import origin
from pipeline.aggregate.read.results import Results
from pipeline.aggregate.sections.base import Link, Row

NAME, LINK = "provenance", Link("provenance", "Provenance")


def build(results: Results) -> Row:
    """Return a row for each stage that finished; that there is none is told, too."""
    return {"stages": origin.stages(results), "environments": origin.environments(results)}
