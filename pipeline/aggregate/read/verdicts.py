"""Reading a verdict: every check that stands between a file and a number called proved.

A verdict counts if it is whole, is about the very certificate that lies beside it (SHA-256), agrees
with the experiment and with the verifier's own record, and does not contradict a packing that
exists. What fails one of these is a complaint, never a number.
"""

import hashlib
from pathlib import Path
from typing import Any

from pipeline.aggregate.read import files, parts
from pipeline.aggregate.read.quantities import exact_decimal, last_place
from pipeline.aggregate.read.results import BoundResult, Record, Search, Verdict
from pipeline.certify.format import Rejected, ThreePoint, TwoPoint, parse
from pipeline.errors import ResultError
from pipeline.packing import known
from pipeline.packing.config import Bound

_FIELDS = {
    "status": str,
    "checks": list,
    "dim": int,
    "formulation": str,
    "certificate_sha256": str,
    "seconds": (int, float),
}


def bound(name: str, part: Bound, seed: int, results: Path, found: Search) -> BoundResult:
    """Return the verdict on what a search left, proved or rejected.

    Raises:
        ResultError: see `parts`.
    """
    path = results / "certify" / name / "verdict.json"
    verdict = _verdict(path, part)
    candidate = results / "search" / name / "candidate.json"
    # Of the bytes that were read with the search, not of a file that may change meanwhile.
    digest = hashlib.sha256(found.candidate).hexdigest()
    # None: a rejected file that could not be read has no digest.
    if verdict.certificate_sha256 not in (digest, None):
        raise files.OutdatedError(
            f"{path}: certificate_sha256: expected {digest[:12]}… of {candidate},"
            f" got {str(verdict.certificate_sha256)[:12]}…; rerun certify"
        )
    result = BoundResult(
        name,
        part,
        found.record,
        found.trace,
        verdict,
        _verification(path, name, part, seed, verdict),
        known.upper_bound(part.formulation.dim),
        known.packing(part.formulation.dim),
        _certificate(candidate, found.candidate) if verdict.status == "proved" else None,
    )
    _refuse_contradiction(path, result)
    return result


def _verification(path: Path, name: str, part: Bound, seed: int, verdict: Verdict) -> Record | None:
    """Return the verifier's record, which agrees with `verdict`; None if it was run by hand."""
    file = path.with_name("run.json")
    if not file.exists():
        return None
    record = parts.checked_record(file, "certify", name, part, seed)
    told = {key: record["summary"].get(key) for key in ("status", "bound")}
    if told != {"status": verdict.status, "bound": verdict.bound}:
        raise ResultError(
            f"{path}: expected {told['status']} {told['bound'] or ''} as in {file.name},"
            f" got {verdict.status} {verdict.bound or ''}; rerun certify"
        )
    return record


def _certificate(path: Path, content: bytes) -> TwoPoint | ThreePoint:
    try:
        return parse(content)
    except Rejected as error:
        raise ResultError(
            f"{path}: expected the certificate that the verdict calls proved, got one that"
            f" cannot be read ({error}); rerun search"
        ) from None


def _verdict(path: Path, part: Bound) -> Verdict:
    """Return the verdict in `path`; a rejected one is a result, an inconsistent one an error."""
    content = files.read_json(path, "certify")
    fields: dict[str, Any] = dict(_FIELDS)
    if content.get("status") == "rejected":
        # A rejected file need not have a readable formulation, dimension, or content at all.
        fields = fields | {"failed_condition": str}
        for key in ("dim", "formulation", "certificate_sha256"):
            del fields[key]
    files.require(path, content, fields, "certify")
    for check in content["checks"]:
        files.require(path, check, {"name": str, "detail": str}, "certify")
    status, value = content["status"], content.get("bound")
    if status not in ("proved", "rejected"):
        raise ResultError(
            f"{path}: status: expected 'proved' or 'rejected', got {status[:60]!r}; rerun certify"
        )
    if status == "rejected":
        if value is not None:
            got = repr(value)[:60]
            raise ResultError(f"{path}: bound: expected null when rejected, got {got}")
    else:
        _check_proved(path, content, part)
    reason = [content.get(key) for key in ("failed_condition", "detail")]
    return Verdict(
        status,
        value,
        ": ".join(str(text) for text in reason if text) or None,
        content["checks"],
        content.get("certificate_sha256"),
        float(content["seconds"]),
    )


def _check_proved(path: Path, content: dict[str, Any], part: Bound) -> None:
    for key, expected in (("dim", part.formulation.dim), ("formulation", part.formulation.kind)):
        if content[key] != expected:
            raise ResultError(
                f"{path}: {key}: expected {expected!r} as in the experiment,"
                f" got {repr(content[key])[:60]}; rerun certify"
            )
    if content.get("failed_condition") is not None:
        raise ResultError(f"{path}: failed_condition: expected null when proved; rerun certify")
    parts.check_decimal(path, "bound", content.get("bound", ""), "certify")


def _refuse_contradiction(path: Path, result: BoundResult) -> None:
    """Raise if a proved bound lies below the density of a packing that exists."""
    if result.proved_bound is None or result.packing is None:
        return
    # The table rounds the density of the packing: one unit in its last place is allowed.
    density = result.packing.value
    if exact_decimal(result.proved_bound) < exact_decimal(density) - last_place(density):
        raise files.UnsoundError(
            f"{path}: bound: expected at least {density}, the density of the known packing"
            f" {result.packing.name}, got {result.proved_bound}; the verifier is unsound"
        )
