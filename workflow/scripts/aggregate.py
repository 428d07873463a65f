"""Adapter of the rule `aggregate`."""

from pathlib import Path

from pipeline import experiment
from pipeline.aggregate import stage
from pipeline.runtime.job import Job

job = Job.of("aggregate", stage.NAME, snakemake)
with job.logged():
    stage.run(job, experiment.validate(snakemake.params.config), data=Path("data"))
