"""Values and keys in the words of a user: short, on one line, as YAML writes them."""

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

MOST_CHARACTERS = 200
_PLAIN = re.compile(r"[\w\-]+")


def cut(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return `text` on one line and of at most `most` characters."""
    line = " ".join(text.split())
    line = "".join(x if x.isprintable() else x.encode("unicode_escape").decode() for x in line)
    return line if len(line) <= most else line[: most - 3] + "..."


def show(value: Any, most: int = MOST_CHARACTERS) -> str:
    """Return `value` as YAML writes it, of at most `most` characters, however large it is."""
    return cut("".join(_pieces(value, most + 1)), most)


def _pieces(value: Any, room: int) -> Iterable[str]:
    """Yield the text of `value` until `room` characters are full: a value may be gigabytes."""
    match value:
        case _ if room <= 0:
            return
        case None:
            yield "nothing (null)"
        case bool():
            yield str(value).lower()
        case str():
            yield repr(value[:room])
        case int() if abs(value).bit_length() > 4 * MOST_CHARACTERS:
            # By log10(2): printing all digits takes a time quadratic in their number.
            yield f"a whole number of about {int(abs(value).bit_length() * 0.30103) + 1} digits"
        case datetime.date():
            yield f"the date {value}"
        case Mapping() | list() | tuple():
            is_mapping = isinstance(value, Mapping)
            yield "{" if is_mapping else "["
            for index, item in enumerate(value):
                if room <= 0:
                    break
                pieces = [", "] if index else []
                if is_mapping:
                    pieces += [item[:room] if isinstance(item, str) else show(item, 40), ": "]
                pieces += _pieces(value[item] if is_mapping else item, room - 1)
                room -= sum(map(len, pieces))
                yield from pieces
            yield "}" if is_mapping else "]"
        case _:
            yield (
                cut(repr(value), max(room, 4))
                if isinstance(value, int | float)
                else (f"a value of type {type(value).__name__}")
            )


def dotted(path: Sequence[int | str]) -> str:
    """Return a path of keys as `runs.burgers.train`, odd keys quoted and long ones cut."""
    parts = (str(x) if _PLAIN.fullmatch(str(x)) else repr(x) for x in path)
    return cut(".".join(cut(part, 60) for part in parts), 120)


def choice(values: Iterable[Any], most: int = 12) -> str:
    """Return "a, b or c"; of many values the first ones and their number."""
    words = [show(x, 60) if not isinstance(x, str) else cut(x, 60) for x in values]
    if len(words) > most:
        return f"{', '.join(words[:most])}, ... ({len(words)} in all)"
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def nearest(word: Any, known: Iterable[Any]) -> str:
    """Return "; did you mean ...?" with what of `known` is like `word`, or nothing."""
    # Words of any length would take a time quadratic in it.
    near = get_close_matches(str(word)[:60], [x for x in known if isinstance(x, str)], n=2)
    return f"; did you mean {' or '.join(near)}?" if near else ""
