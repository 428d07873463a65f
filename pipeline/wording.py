"""Titles generated from configurations: equal only if the configurations are.

A title is made of phrases, one a field. A field that has words of its own is told by them; any
other one speaks for itself, "name value", as soon as it differs from its default. So a field that
is new in `pipeline.config` is in the titles before anyone thinks of it. Numbers are written in
full, so that different ones look different.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

# (value, model) -> the phrase of a field, or None where another phrase tells it.
Word = Callable[[Any, Any], str | None]
Words = Mapping[str, Word]


def identity(model: BaseModel, without: frozenset[str] = frozenset()) -> Hashable:
    """Return what is equal for two models exactly if all their fields but `without` are."""
    values = ((name, getattr(model, name)) for name in type(model).model_fields)
    return type(model).__name__, *((k, _hashable(v)) for k, v in values if k not in without)


def _hashable(value: Any) -> Hashable:
    return identity(value) if isinstance(value, BaseModel) else value


def phrases(
    model: BaseModel, words: Words | None = None, without: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Yield a phrase for each field of `model` that has to be told, those of `words` first."""
    words = words or {}
    fields = {k: v for k, v in type(model).model_fields.items() if k not in without | {"kind"}}
    for name, word in words.items():
        phrase = word(getattr(model, name), model) if name in fields else None
        if phrase is not None:
            yield phrase
    for name, field in fields.items():
        if name in words:
            continue
        value = getattr(model, name)
        if field.is_required() or value != field.get_default(call_default_factory=True):
            yield f"{name.replace('_', ' ')} {text(value)}"


def text(value: Any) -> str:
    """Return a value of a configuration for people, different for different values."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, tuple):
        return " × ".join(map(text, value))
    if isinstance(value, BaseModel):
        kind = getattr(value, "kind", "")
        return f"({', '.join(filter(None, [kind, *phrases(value)]))})"
    return str(value).lower() if value is None else str(value)


def number(value: float) -> str:
    """Return the shortest decimal that is exactly this double: 0.1, 3, 1e-10."""
    return repr(float(value)).removesuffix(".0")


def unless(default: Any, phrase: Callable[[Any], str]) -> Word:
    """Return the word of a field that is not told where it has the value `default`."""
    return lambda value, model: None if value == default else phrase(value)


def always(phrase: Callable[[Any], str]) -> Word:
    """Return the word of a field that is told whatever its value is."""
    return lambda value, model: phrase(value)


def elsewhere(value: Any, model: Any) -> None:
    """Be the word of a field that another phrase tells."""
