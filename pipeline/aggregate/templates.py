"""The templates of pages. Each lies beside the module that fills it."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def templates() -> Environment:
    """Return the templates, named from this folder: they escape all text, refuse unknown names."""
    return Environment(
        loader=PackageLoader("pipeline.aggregate", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
