"""Adapter of the rule `search`."""

from pipeline.packing import stage
from pipeline.packing.config import Bound
from pipeline.runtime.job import Job

job, resources = Job.of("search", snakemake.wildcards.bound, snakemake), snakemake.resources
with job.logged():
    bound = Bound.model_validate(snakemake.params.config)
    num_workers = snakemake.threads * resources.get("tasks", 1)
    stage.run(job, bound, num_workers=num_workers, ray_address=resources.ray_address)
