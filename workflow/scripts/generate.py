"""Adapter of the rule `generate`."""

from pathlib import Path

from pipeline.datagen import stage
from pipeline.runtime import console
from pipeline.store.config import Dataset

with console.stage(snakemake.log[0], snakemake.output[0], snakemake.params.failed):
    stage.run(
        Dataset.model_validate(snakemake.config["datasets"][snakemake.wildcards.dataset]),
        name=snakemake.wildcards.dataset,
        seed=snakemake.params.seed,
        store=Path(snakemake.output.store).parent,
        record=Path(snakemake.output.record),
        num_workers=snakemake.threads * snakemake.resources.get("tasks", 1),
        source=snakemake.params.source,
    )
