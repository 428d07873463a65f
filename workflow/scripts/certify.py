"""Adapter of the rule `certify`."""

from pathlib import Path

from pipeline.certification import stage
from pipeline.packing.config import Bound
from pipeline.runtime.job import Job

job, candidate = Job.of("certify", snakemake.wildcards.bound, snakemake), snakemake.input.candidate
with job.logged():
    bound = Bound.model_validate(snakemake.params.config)
    stage.run(job, bound, candidate=Path(candidate), num_workers=snakemake.threads)
