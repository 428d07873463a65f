"""What every section of the report is.

A section is a module of this folder. Its `build` turns results into finished texts and figures, and
the template beside it, `<NAME>.html.j2`, lays them out. `report.SECTIONS` lists the sections in the
order of the page, so that a new kind of content is a module, a template and a line of that list.
"""

from typing import Any, NamedTuple, Protocol

from pipeline.aggregate.read.results import Results

# What a template shows, by name: a whole section, or one row of its table.
Row = dict[str, Any]


class Link(NamedTuple):
    """An entry of the navigation: the id of a heading, and its text."""

    anchor: str
    text: str


class Section(Protocol):
    """A module that makes one kind of content.

    `NAME` is that of the module and of its template. `LINK` is None for a section that stands under
    the heading of an earlier one; then it is there only if that one is.
    """

    @property
    def NAME(self) -> str:
        """The name of the module and of its template."""

    @property
    def LINK(self) -> Link | None:
        """The section's entry of the navigation."""

    def build(self, results: Results) -> Row | None:
        """Return what the template shows, or None if there is nothing to show."""
