"""Adapter of the rule `generate`."""

from pathlib import Path

from pipeline.datagen import stage
from pipeline.runtime.job import Job
from pipeline.store.config import Dataset

job = Job.of("generate", snakemake.wildcards.dataset, snakemake)
with job.logged():
    dataset = Dataset.model_validate(snakemake.config["datasets"][job.name])
    num_workers = snakemake.threads * snakemake.resources.get("tasks", 1)
    stage.run(job, dataset, store=Path(snakemake.output.store).parent, num_workers=num_workers)
