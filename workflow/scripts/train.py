"""Adapter of the rule `train`."""

from pathlib import Path

from pipeline import experiment
from pipeline.runtime import console
from pipeline.training import stage

with console.stage(snakemake.log[0], snakemake.output[0], snakemake.params.failed):
    stage.run(
        experiment.parse_run(snakemake.config["runs"][snakemake.wildcards.run]),
        name=snakemake.wildcards.run,
        seed=snakemake.params.seed,
        output=Path(snakemake.output.record).parent,
        state=Path(snakemake.params.state),
        store=Path(snakemake.input.store[0]).parent if snakemake.input.store else None,
        source=snakemake.params.source,
        ray_address=snakemake.resources.ray_address,
    )
