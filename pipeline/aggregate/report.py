"""The report as one HTML file: a frame around the sections that have something to show."""

from markupsafe import Markup

from pipeline.aggregate import overview
from pipeline.aggregate.figures.figure import COLOURS
from pipeline.aggregate.read.results import Results
from pipeline.aggregate.sections import (
    ablation,
    bounds,
    comparison,
    configuration,
    convergence,
    curves,
    datasets,
    flows,
    headlines,
    missing,
    predictions,
    proofs,
    provenance,
    runs,
    skill,
)
from pipeline.aggregate.sections.base import Section
from pipeline.aggregate.templates import templates

# In the order of the page. A section without a link stands under the heading of the one before.
SECTIONS: tuple[Section, ...] = (
    missing,
    headlines,
    datasets,
    flows,
    runs,
    comparison,
    curves,
    skill,
    ablation,
    predictions,
    bounds,
    convergence,
    proofs,
    provenance,
    configuration,
)


def render(results: Results) -> str:
    """Return the report: self-contained HTML, a pure function of `results`."""
    pages = templates()
    links, shown = [], []
    for section in SECTIONS:
        if (context := section.build(results)) is None:
            continue
        if section.LINK:
            links.append(section.LINK)
        template = pages.get_template(f"sections/{section.NAME}.html.j2")
        # Its template has escaped every text in it.
        shown.append(Markup(template.render(context)))
    return pages.get_template("report.html.j2").render(
        colours=COLOURS,
        asked=overview.asked(results),
        counts=overview.counts(results),
        links=links,
        sections=shown,
    )
