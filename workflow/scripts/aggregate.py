"""Adapter of the rule `aggregate`."""

from pathlib import Path

from pipeline import console, experiment
from pipeline.aggregate import stage

with console.stage(snakemake.log[0], snakemake.output[0]):
    stage.run(
        experiment.validate(snakemake.params.config),
        data=Path("data"),
        results=Path(snakemake.output.record).parent,
        source=snakemake.params.source,
    )
