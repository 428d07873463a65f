"""Adapter of the rule `simulate`."""

import json

from cluster import mpi
from pipeline.runtime import console

with console.stage(snakemake.log[0], snakemake.output[0], snakemake.params.failed):
    arguments = {
        "ranks": snakemake.resources.tasks,
        # All of it: `params` hold what decides about a rerun, without the number of ranks.
        "dataset": json.dumps(snakemake.config["datasets"][snakemake.wildcards.dataset]),
        "name": snakemake.wildcards.dataset,
        "seed": snakemake.params.seed,
        "store": snakemake.output.store.removesuffix("/zarr.json"),
        "record": snakemake.output.record,
        "source": snakemake.params.source,
    }
    words = [f"--{key}={value}" for key, value in arguments.items()]
    mpi.run(snakemake.resources.mpi, snakemake.resources.tasks, "pipeline.datagen.mpi_stage", words)
