"""Adapter of the rule `aggregate`."""

from pathlib import Path

from pipeline import experiment
from pipeline.aggregate import stage
from pipeline.runtime import console

with console.stage(snakemake.log[0], snakemake.output[0]):
    stage.run(
        experiment.validate(snakemake.params.config),
        data=Path("data"),
        results=Path(snakemake.output.record).parent,
        source=snakemake.params.source,
    )
