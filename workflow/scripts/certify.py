"""Adapter of the rule `certify`."""

import hashlib
from pathlib import Path

from pipeline.certify.files import NoVerdict
from pipeline.certify.verify import verdict
from pipeline.errors import ResultError
from pipeline.packing.config import Bound
from pipeline.runtime import console, kept, provenance

bound = Bound.model_validate(snakemake.params.config)
who = {"name": snakemake.wildcards.bound, "seed": snakemake.params.seed}
record = Path(snakemake.output.record)

with (
    console.stage(snakemake.log[0], snakemake.output[0], snakemake.params.failed),
    provenance.record(
        record, stage="certify", config=bound, source=snakemake.params.source, **who
    ) as summary,
):
    candidate, state = Path(snakemake.input.candidate), Path(snakemake.params.state)
    digest = hashlib.sha256(candidate.read_bytes()).hexdigest()
    parts = kept.claim(state, digest, f"certify {who['name']}") / "parts.json"
    try:
        found = verdict(candidate, snakemake.threads, parts)
    except NoVerdict as error:
        raise ResultError(str(error)) from None
    provenance.write_json(Path(snakemake.output.verdict), found)
    kept.release(state, digest)
    summary.update(status=found["status"], bound=found["bound"])
    print(f"{who['name']}: {found['status']}", found["bound"] or found["failed_condition"])
