"""The certify stage: the verifier's verdict on one candidate, part by part, from where it was."""

import hashlib
from pathlib import Path

from pipeline.certify.files import NoVerdict
from pipeline.certify.verify import verdict
from pipeline.errors import ResultError
from pipeline.kinds import Part
from pipeline.runtime.job import Job
from pipeline.runtime.provenance import write_json

VERDICT = "verdict.json"
_PROVED_PARTS = "parts.json"


def run(job: Job, bound: Part, *, candidate: Path, num_workers: int) -> None:
    """Write verdict.json and, last, run.json for the certificate in `candidate`.

    A rejection is a verdict like a proof. The state is that of this very file: what is proved of it
    stays proved whoever asks.

    Raises:
        ResultError: there is nothing to judge, or nowhere to work.
        PlaceError: the results cannot be written.
    """
    digest = hashlib.sha256(candidate.read_bytes()).hexdigest()
    with job.running(bound, digest=digest, files=(VERDICT,)) as work:
        try:
            found = verdict(candidate, num_workers, work.folder / _PROVED_PARTS)
        except NoVerdict as error:
            raise ResultError(str(error)) from None
        write_json(job.output / VERDICT, found)
        work.summary.update(status=found["status"], bound=found["bound"])
    print(f"{job.name}: {found['status']}", found["bound"] or found["failed_condition"])
