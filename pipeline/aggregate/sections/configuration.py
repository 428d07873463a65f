"""The whole experiment as it was run, defaults included."""

import yaml

from pipeline.aggregate.read.results import Results
from pipeline.aggregate.sections.base import Link, Row

NAME, LINK = "configuration", Link("configuration", "Configuration")


def build(results: Results) -> Row:
    """Return the experiment as YAML."""
    content = results.experiment.model_dump(mode="json")
    return {"text": yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=88)}
