"""Adapter of the rule `train`."""

from pathlib import Path

from pipeline.runtime.job import Job
from pipeline.training import stage
from pipeline.training.union import parse_run

job, store = Job.of("train", snakemake.wildcards.run, snakemake), snakemake.input.store
with job.logged():
    run = parse_run(snakemake.config["runs"][job.name])
    folder = Path(store[0]).parent if store else None
    stage.run(job, run, store=folder, ray_address=snakemake.resources.ray_address)
