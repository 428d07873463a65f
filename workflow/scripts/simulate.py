"""Adapter of the rule `simulate`."""

from pathlib import Path

from cluster import mpi
from pipeline.datagen import mpi_stage
from pipeline.runtime.job import Job

job, resources = Job.of("generate", snakemake.wildcards.dataset, snakemake), snakemake.resources
with job.logged():
    # All of it: `params` hold what decides about a rerun, without the number of ranks.
    dataset = snakemake.config["datasets"][job.name]
    words = mpi_stage.words(job, dataset, Path(snakemake.output.store).parent, resources.tasks)
    mpi.run(resources.mpi, resources.tasks, mpi_stage.__name__, words)
