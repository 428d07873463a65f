"""What pydantic refuses, in the words of the field: one line for each mistake.

pydantic says where a mistake is and of which kind; what is expected there is read off the models.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from pipeline.reading.expected import Expected
from pipeline.reading.words import choice, cut, nearest, show

# A validator over several keys begins its message with the key that it is about.
_KEYED = re.compile(r"([\w\-]+(?:\.[\w\-]+)*): (.+)")


class Complaint(NamedTuple):
    """The keys that lead to a mistake, and "expected ..., got ..."."""

    path: list[int | str]
    text: str


class _Found(NamedTuple):
    """Where a mistake is: its keys, what is expected of the last one, and of its parent."""

    path: list[int | str]
    expected: Expected | None
    parent: Expected | None
    is_name: bool = False


def complaints(error: ValidationError, model: type[BaseModel]) -> Iterator[Complaint]:
    """Yield one complaint for each mistake in what `model` refused."""
    details = error.errors(include_url=False)
    found = [(detail, _follow(detail["loc"], model)) for detail in details]
    unknown: dict[tuple[int | str, ...], list[int | str]] = {}
    for detail, at in found:
        if detail["type"] == "extra_forbidden":
            unknown.setdefault((*at.path[:-1],), []).append(at.path[-1])
    for detail, at in found:
        # A misspelt key is both unknown and missing: the line about the former names the latter.
        siblings = unknown.get((*at.path[:-1],), []) if detail["type"] == "missing" else []
        if not any(nearest(word, at.path[-1:]) for word in siblings):
            yield from _said(detail, at)


def _follow(loc: Sequence[int | str], model: type[BaseModel]) -> _Found:
    """Return the keys of pydantic's location, without its names of the members of unions."""
    path: list[int | str] = []
    expected: Expected | None = Expected(model)
    parent: Expected | None = None
    for part in loc:
        if part == "[key]" and parent and path:
            return _Found(path, parent.name(), parent, is_name=True)
        if expected and (member := expected.member(part)):
            expected = member
            continue
        path.append(part)
        parent, expected = expected, expected and expected.child(part)
    return _Found(path, expected, parent)


def _said(detail: Mapping[str, Any], at: _Found) -> Iterator[Complaint]:
    """Yield the complaints of a detail: a validator over many parts gives one a line."""
    if detail["type"] != "value_error":
        yield _complaint(detail, at)
        return
    # pydantic's own words before the message of any validator.
    for line in detail["msg"].removeprefix("Value error, ").splitlines():
        keyed = _KEYED.fullmatch(line)
        path = [*at.path, *keyed[1].split(".")] if keyed else at.path
        yield Complaint(path, cut(keyed[2] if keyed else line, 300))


def _complaint(detail: Mapping[str, Any], at: _Found) -> Complaint:
    """Return what was expected and found, whatever pydantic calls the mistake."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx") or {}
    path, expected = at.path, at.expected
    if kind == "extra_forbidden" and at.parent:
        known = at.parent.keys
        key = path[-1]
        text = f"expected one of the keys {choice(known)}, got {show(key)}{nearest(key, known)}"
        return Complaint(path, text)
    if kind.startswith("union_tag") and expected and isinstance(value, Mapping):
        known = expected.kinds
        given = show(value["kind"], 60) if "kind" in value else "nothing; the key has no default"
        text = f"expected {choice(known)}, got {given}{nearest(value.get('kind'), known)}"
        return Complaint([*path, "kind"], text)
    if kind in ("workers", "path"):
        return Complaint(path, f"{context.get('what', detail['msg'])}, got {show(value)}")
    if expected is None:
        return Complaint(path, f"{cut(detail['msg'], 100)}, got {show(value)}")
    if kind == "missing":
        return Complaint(path, f"expected {expected.words}, got nothing; the key has no default")
    got = path[-1] if at.is_name else value
    words = expected.words_for(got)
    return Complaint(path, f"expected {words}, got {show(got)}{expected.remedy(got)}")
