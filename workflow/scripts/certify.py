"""Adapter of the rule `certify`."""

from pathlib import Path

from pipeline import config, console, provenance
from pipeline.certify.files import NoVerdict
from pipeline.certify.verify import verdict
from pipeline.errors import ResultError

bound = config.Bound.model_validate(snakemake.params.config)
who = {"name": snakemake.wildcards.bound, "seed": snakemake.params.seed}
record = Path(snakemake.output.record)

with (
    console.stage(snakemake.log[0], snakemake.output[0], snakemake.params.failed),
    provenance.record(
        record, stage="certify", config=bound, source=snakemake.params.source, **who
    ) as summary,
):
    candidate, state = Path(snakemake.input.candidate), Path(snakemake.params.state)
    try:
        found = verdict(candidate, snakemake.threads, state)
    except NoVerdict as error:
        raise ResultError(str(error)) from None
    provenance.write_json(Path(snakemake.output.verdict), found)
    summary.update(status=found["status"], bound=found["bound"])
    print(f"{who['name']}: {found['status']}", found["bound"] or found["failed_condition"])
