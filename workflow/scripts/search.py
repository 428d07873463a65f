"""Adapter of the rule `search`."""

from pathlib import Path

from pipeline.packing import stage
from pipeline.packing.config import Bound
from pipeline.runtime import console

with console.stage(snakemake.log[0], snakemake.output[0], snakemake.params.failed):
    stage.run(
        Bound.model_validate(snakemake.params.config),
        name=snakemake.wildcards.bound,
        seed=snakemake.params.seed,
        output=Path(snakemake.output.record).parent,
        state=Path(snakemake.params.state),
        num_workers=snakemake.threads * snakemake.resources.get("tasks", 1),
        source=snakemake.params.source,
        ray_address=snakemake.resources.ray_address,
    )
