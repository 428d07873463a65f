"""What the models of an experiment expect at a key, in words."""

import datetime
import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, Tag
from pydantic.fields import FieldInfo

from pipeline.reading.words import choice, nearest, show

_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
# Limits that only keep out what never ends or overflows.
_REMOTE_BELOW, _REMOTE_ABOVE = 1e-5, 100_000


class Expected:
    """What is expected at one place: a type of Python and the constraints on it."""

    def __init__(self, annotation: Any, metadata: tuple[Any, ...] = ()) -> None:
        self.type: Any
        found = list(metadata)
        while get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            found += more
        fields = [x for x in found if isinstance(x, FieldInfo)]
        self.metadata = [*found, *(y for x in fields for y in x.metadata)]
        members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
        self.is_optional = NoneType in members
        self.members = [Expected(x) for x in members if x is not NoneType]
        # An optional value: null is told by `is_optional`, the rest is the only member.
        if len(self.members) == 1:
            (only,) = self.members
            annotation, self.metadata, self.members = only.type, only.metadata, only.members
        self.type = annotation
        self.origin, self.arguments = get_origin(annotation), get_args(annotation)

    @property
    def model(self) -> type[BaseModel] | None:
        """The model with the keys expected here, if it is one."""
        is_model = isinstance(self.type, type) and issubclass(self.type, BaseModel)
        return self.type if is_model else None

    @property
    def keys(self) -> list[str]:
        """The keys that may stand here."""
        return list(self.model.model_fields) if self.model else []

    @property
    def kinds(self) -> list[str]:
        """The kinds among which `kind` chooses here."""
        if self.model:
            kind = self.model.model_fields.get("kind")
            return [str(x) for x in get_args(kind.annotation)] if kind else []
        return [kind for member in self.members for kind in member.kinds]

    def member(self, part: int | str) -> "Expected | None":
        """Return the member of a union that pydantic calls `part`."""
        for member in self.members:
            tags = [x.tag for x in member.metadata if isinstance(x, Tag)]
            if part in (tags or member.kinds):
                return member
        return None

    def child(self, part: int | str) -> "Expected | None":
        """Return what is expected at the key or at the place `part` of a list."""
        if self.model:
            field = self.model.model_fields.get(str(part))
            return Expected(field.annotation, (field,)) if field else None
        if self.origin is dict:
            return Expected(self.arguments[1])
        if self.origin is tuple and isinstance(part, int):
            if self.arguments[-1] is ...:
                return Expected(self.arguments[0])
            return Expected(self.arguments[part]) if part < len(self.arguments) else None
        return None

    def name(self) -> "Expected | None":
        """Return what is expected of the names of a section."""
        return Expected(self.arguments[0]) if self.origin is dict else None

    @property
    def words(self) -> str:
        """What is expected, to stand after "expected"."""
        return self.words_for(None)

    def words_for(self, value: Any) -> str:
        """Return what is expected where `value` was found."""
        words = self._words(value)
        return f"{words}, or null" if self.is_optional else words

    def _words(self, value: Any) -> str:
        if self.type is bool:
            return "true or false"
        if self.type is int:
            return f"a whole number{self._bounds(value, whole=True)}"
        if self.type is float:
            return f"a number{self._bounds(value, whole=False)}"
        if self.type is str:
            most = [x.max_length for x in self.metadata if isinstance(x, annotated_types.MaxLen)]
            return (
                f"a name of letters, digits, _ and - that begins with a letter or digit and has at"
                f" most {most[0]} characters"
                if most
                else "text"
            )
        if self.type is Path:
            return "a path"
        if self.origin is Literal:
            return choice(self.arguments)
        if self.origin is tuple:
            items = Expected(self.arguments[0]).words
            count = "" if self.arguments[-1] is ... else f" of {len(self.arguments)}"
            return f"a list [...]{count}, each {items}"
        if self.origin is dict:
            return "names with keys indented below each"
        if self.model or self.kinds:
            known = f"kind ({choice(self.kinds)}) and more" if self.kinds else choice(self.keys)
            return f"keys below it: {known}"
        return "another kind of value"

    def _bounds(self, value: Any, *, whole: bool) -> str:
        """Return the limits of a number, " of at least 1 and at most 48".

        Limits that no sensible value comes near are told where `value` is beyond them.
        """
        limits: dict[type, Any] = {type(x): x for x in self.metadata}
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        words = []
        for kind, word, step in (
            (annotated_types.Ge, "at least", 0),
            # A whole number above 3 is at least 4: `step` makes it that.
            (annotated_types.Gt, "at least" if whole else "above", 1),
            (annotated_types.Le, "at most", 0),
            (annotated_types.Lt, "at most" if whole else "below", -1),
        ):
            if kind not in limits:
                continue
            limit = getattr(limits[kind], kind.__name__.lower())
            if word == "at least" and 0 < limit <= _REMOTE_BELOW:
                is_told = is_number and 0 < value < limit
                word, limit = (word, limit) if is_told else ("above", 0)
            is_remote = word in ("at most", "below") and limit >= _REMOTE_ABOVE
            if is_remote and not (is_number and value > limit):
                continue
            words.append(f"{word} {f'{limit + step:,}' if whole else f'{limit:g}'}")
        if not words:
            return ""
        of = " of" if words[0].startswith("at ") else ""
        return f"{of} {' and '.join(words)}"

    def remedy(self, value: Any) -> str:
        """Return "; what to write instead" where the value shows what was meant."""
        is_choice = self.origin is Literal and isinstance(self.arguments[0], str)
        takes_text = self.type in (str, Path) or is_choice
        if value is None:
            return "; indent what belongs below it, or remove the key"
        if isinstance(value, bool) and takes_text:
            return "; YAML reads yes, no, on and off so: write text in quotes"
        if isinstance(value, datetime.date) and takes_text:
            return "; write text in quotes"
        if isinstance(value, float) and self._takes_whole(value):
            return f"; write {int(value)}"
        if isinstance(value, str) and self.type in (int, float) and len(value) < 40:
            return self._number(value)
        if isinstance(value, int | float) and self.origin is tuple:
            return f"; write [{show(value, 60)}]" if abs(value) < _REMOTE_ABOVE else ""
        if isinstance(value, str) and self.origin is Literal:
            return nearest(value, self.arguments)
        return ""

    def _takes_whole(self, value: float) -> bool:
        """Return whether the whole number that `value` is equal to may stand here."""
        # From 2^53 on a double no longer tells which whole number was written.
        if not value.is_integer() or abs(value) >= 2**53:
            return False
        return self.type is int or (self.origin is Literal and int(value) in self.arguments)

    def _number(self, text: str) -> str:
        """Return how to write the number that `text` says."""
        if not _NUMBER.fullmatch(text):
            return ""
        if self.type is int:
            whole = text.lstrip("+-").isdigit()
            return f"; write {int(text)} without quotes" if whole else "; write it in digits"
        mantissa, exponent, power = text.lower().partition("e")
        if not exponent:
            return f"; write {text} without quotes"
        # YAML 1.1 takes 1e10 and 1.0e10 for text.
        point = mantissa if "." in mantissa else f"{mantissa}.0"
        sign = "" if power[0] in "+-" else "+"
        return f"; write {point}e{sign}{power}"
