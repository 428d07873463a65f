"""The page that describes every key of an experiment, made from its models.

A section for each model: the first line of its docstring, and a table of its keys. A family of
kinds tells what its *capabilities* mean, the class variables that a docstring in the family
explains by "name: meaning", and each kind tells which it has.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Union

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipeline.kinds import Frozen, Kind
from pipeline.reading.expected import Expected

# Headings in their order, with the model or the further headings below each.
Outline = Mapping[str, Union[type[BaseModel], "Outline"]]

_CAPABILITY = re.compile(r"^(\w+): (.+?)(?=\n\w+: |\n\n|\Z)", re.MULTILINE | re.DOTALL)
# From here on a power of ten is told as one.
_LONG = 10_000


def page(outline: Outline, title: str, introduction: str) -> str:
    """Return the page, in Markdown, with a section for each model of `outline`."""
    paragraphs = [f"# {title}", introduction, *_Page(outline).sections(outline, level=2)]
    return "\n\n".join(paragraphs) + "\n"


class _Page:
    """The sections of one page, which link to each other."""

    def __init__(self, outline: Outline) -> None:
        self.links = dict(_links(outline))

    def sections(self, outline: Outline, level: int) -> Iterator[str]:
        """Yield the paragraphs below a heading, headings included."""
        for heading, part in outline.items():
            yield f"{'#' * level} {heading}"
            if isinstance(part, Mapping):
                yield from _family(list(part.values()))
                yield from self.sections(part, level + 1)
            else:
                yield from self._model(part)

    def _model(self, model: type[BaseModel]) -> Iterator[str]:
        yield _first_line(model)
        # A kind is described by its class and named by the heading.
        fields = {key: x for key, x in model.model_fields.items() if key != "kind"}
        if fields:
            rows = ["| key | type and limits | default | description |", "|---|---|---|---|"]
            rows += [self._row(key, field) for key, field in fields.items()]
            yield "\n".join(rows)
        if neutral := _neutral(model):
            yield f"A finished result stays when {_or([f'`{key}`' for key in neutral])} changes."
        if told := [f"`{x}` {_value(getattr(model, x))}" for x in _capabilities([model])]:
            yield f"Capabilities: {', '.join(told)}."

    def _row(self, key: str, field: FieldInfo) -> str:
        default = "required" if field.is_required() else f"`{_yaml(field.get_default())}`"
        kind = self._type(Expected(field.annotation, (field,)))
        cells = [f"`{key}`", kind, default, field.description or ""]
        # A bar would end its cell.
        shown = [cell.replace("|", r"\|") for cell in cells]
        return f"| {' | '.join(shown)} |"

    def _type(self, expected: Expected) -> str:
        """Return what may stand at a key, every limit included."""
        if expected.is_optional:
            return f"{self._member(expected)}, or `null`"
        return self._member(expected)

    def _member(self, expected: Expected) -> str:
        if expected.members:
            words = [self._type(member) for member in expected.members]
            are_models = all(member.model for member in expected.members)
            return _or(words) if are_models else ", or ".join(words)
        if expected.model:
            return self.links[expected.model]
        if expected.type is bool:
            return "`true` or `false`"
        if expected.type is int:
            return f"whole number{_limits(expected.metadata)}"
        if expected.type is float:
            return f"number{_limits(expected.metadata)}"
        if expected.type is str:
            return "name"
        if expected.type is Path:
            return "path"
        if expected.origin is Literal:
            return _or([f"`{_yaml(value)}`" for value in expected.arguments])
        if expected.origin is tuple:
            item = self._type(Expected(expected.arguments[0]))
            count = "" if expected.arguments[-1] is ... else f" of {len(expected.arguments)}"
            return f"list{count}, each a {item}"
        assert expected.origin is dict, expected.type
        return f"names, below each the keys of {self._type(Expected(expected.arguments[1]))}"


def _links(outline: Outline) -> Iterator[tuple[type[BaseModel], str]]:
    for heading, part in outline.items():
        if isinstance(part, Mapping):
            yield from _links(part)
        else:
            # As readers of Markdown make an anchor of a heading.
            yield part, f"[{heading}](#{heading.lower().replace(' ', '-')})"


def _family(parts: "Sequence[Outline | type[BaseModel]]") -> Iterator[str]:
    """Yield what the kinds of a family are and what their capabilities mean."""
    kinds = [part for part in parts if not isinstance(part, Mapping) and issubclass(part, Kind)]
    if not kinds:
        return
    # The most general class of the family stands last.
    *_, family = (x for x in kinds[0].__mro__ if issubclass(x, Kind) and x is not Kind)
    yield _first_line(family)
    if meanings := _capabilities(kinds):
        yield "\n".join(f"- `{name}`: {meaning}" for name, meaning in meanings.items())


def _neutral(model: type[BaseModel]) -> list[str]:
    """Return the keys that shape no number, less paths: what lies there counts."""
    names = model.neutral if issubclass(model, Frozen) else ()
    every = Expected(model)
    found = [(key, every.child(key)) for key in model.model_fields if key in names]
    return [key for key, expected in found if expected and expected.type is not Path]


def _capabilities(models: Sequence[type[BaseModel]]) -> dict[str, str]:
    """Return the meanings of the capabilities of kinds, each by its name."""
    found: dict[str, str] = {}
    for model in models:
        # From the most general class on, so that a kind may tell a meaning more exactly.
        for base in reversed(model.__mro__):
            if issubclass(base, Kind) and base is not Kind:
                meanings = _CAPABILITY.findall(_docstring(base))
                found |= {name: " ".join(x.split()) for name, x in meanings if hasattr(model, name)}
    return found


def _docstring(of: type) -> str:
    return re.sub(r"\n +", "\n", of.__doc__ or "")


def _first_line(of: type) -> str:
    return _docstring(of).partition("\n")[0]


def _limits(metadata: Sequence[Any]) -> str:
    """Return the limits of a number, "; 1 to 48"."""
    limits: dict[type, Any] = {type(x): x for x in metadata}
    least, most = limits.get(annotated_types.Ge), limits.get(annotated_types.Le)
    if least and most:
        return f", {_number(least.ge)} to {_number(most.le)}"
    words = [
        f"{word} {_number(getattr(limits[kind], kind.__name__.lower()))}"
        for kind, word in (
            (annotated_types.Ge, "at least"),
            (annotated_types.Gt, "above"),
            (annotated_types.Le, "at most"),
            (annotated_types.Lt, "below"),
        )
        if kind in limits
    ]
    return f", {' and '.join(words)}" if words else ""


def _number(value: float) -> str:
    """Return a limit: a long whole number as a power of ten, or of two less one, if it is that."""
    if not isinstance(value, int):
        return _yaml(value)
    power = len(str(value)) - 1
    if value >= _LONG and value == 10**power:
        return f"10^{power}"
    if value >= 2**63 and value == 2 ** value.bit_length() - 1:
        return f"2^{value.bit_length()} - 1"
    return f"{value:,}"


def _yaml(value: Any) -> str:
    """Return a value as an experiment file has it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float() if value and not 1e-3 <= abs(value) < 1e6:
            # YAML 1.1 takes 1e-4 for text.
            mantissa, _, power = f"{Decimal(repr(value)).normalize():e}".partition("e")
            return f"{mantissa}{'' if '.' in mantissa else '.0'}e{power}"
        case BaseModel():
            given = ((key, getattr(value, key)) for key in value.model_fields_set)
            return "{" + ", ".join(f"{key}: {_yaml(x)}" for key, x in given) + "}"
        case _:
            return str(value)


def _value(value: Any) -> str:
    """Return the value of a capability."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _yaml(value) or "none"


def _or(words: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
