"""The functions of each bound, what the verifier checked of them, and how to check it again."""

from pipeline.aggregate.describe import formulation_title
from pipeline.aggregate.figures.figure import svg
from pipeline.aggregate.figures.profile import radial_profile
from pipeline.aggregate.figures.profile_figure import profile_figure
from pipeline.aggregate.read.results import BoundResult, Results
from pipeline.aggregate.sections.base import Row

NAME, LINK = "proofs", None


def build(results: Results) -> Row | None:
    """Return checks, certificate and figure of each bound."""
    rows = [_details(result, index) for index, result in enumerate(results.bounds)]
    return {"rows": rows} if rows else None


def _details(result: BoundResult, index: int) -> Row:
    """Return what the verifier checked, and where the published bounds come from."""
    certificate = result.certificate
    return {
        "name": result.name,
        "formulation": formulation_title(result.config, result.degree),
        "proved": result.proved_bound is not None,
        "exact": result.proved_bound,
        "failed_condition": result.verdict.failed_condition,
        "checks": result.verdict.checks,
        "sha256": result.verdict.certificate_sha256 or "unknown: unreadable",
        "published_source": result.published.source,
        "peer": result.peer if result.peer != result.published else None,
        # Drawn from the certificate alone: what is not proved has none.
        "figure": svg(profile_figure(radial_profile(certificate)), f"profile{index}")
        if certificate
        else None,
    }
