"""What is wrong with a graph of YAML nodes, found before anything is built of it."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml

from pipeline.reading.words import cut, show

_TAG = "tag:yaml.org,2002:"
_STR, _INT, _FLOAT, _MERGE, _MAP, _SEQ = (
    _TAG + x for x in ("str", "int", "float", "merge", "map", "seq")
)
_KINDS = {"int": "the number", "float": "the number", "timestamp": "the date", "bool": ""}
MOST_LEVELS = 100
# What aliases may add to a file: a million nodes, or a hundred times what it says itself.
_MOST_ADDED, _MOST_TIMES = 1_000_000, 100
# 12:30 is 750 and 010 is 8 in YAML 1.1.
_ODD_NUMBER = re.compile(r"[-+]?(?:0[0-7_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)")


class Mistake(NamedTuple):
    """A mistake of the text: its line, the keys that lead to it, what was expected and got."""

    line: int
    path: tuple[str, ...]
    text: str


def inspect(root: yaml.Node) -> list[Mistake]:
    """Return what is wrong: keys that are no text or there twice, odd numbers, circles, bombs."""
    inspection = _Inspection()
    added = inspection.extent(root, (), root.start_mark.line).nodes - inspection.num_nodes
    most = max(_MOST_ADDED, _MOST_TIMES * inspection.num_nodes)
    if not inspection.mistakes and added > most:
        text = (
            f"expected aliases that stand for at most {most:,} values in all, got {show(added)};"
            " write fewer aliases within aliases"
        )
        line = root.start_mark.line if inspection.largest is None else inspection.largest
        inspection.mistakes.append(Mistake(line + 1, (), text))
    return inspection.mistakes


def scalars(root: yaml.Node) -> Iterator[tuple[tuple[str, ...], yaml.ScalarNode]]:
    """Yield the scalar nodes below `root` with the keys that lead to them, each once."""
    seen: set[int] = set()
    pending: list[tuple[tuple[str, ...], yaml.Node]] = [((), root)]
    while pending:
        path, node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            yield path, node
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                at = (*path, str(key.value))
                pending += [(at, key), (at, value)]
        else:
            pending += [((*path, str(index)), item) for index, item in enumerate(node.value)]


class _Extent(NamedTuple):
    """How many nodes and levels there were below a node if each alias were written out."""

    nodes: int
    levels: int


class _Inspection:
    """A walk over a graph; each node is looked at once, however many aliases lead to it."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.num_nodes = 0
        # The first line that is too much by itself.
        self.largest: int | None = None
        self._known: dict[int, _Extent] = {}
        self._open: set[int] = set()
        self._is_deep = False

    def extent(self, node: yaml.Node, path: tuple[str, ...], line: int) -> _Extent:
        """Return the extent of `node`, which is at `path`; note its mistakes."""
        if isinstance(node, yaml.ScalarNode):
            self.num_nodes += 1
            if node.tag in (_INT, _FLOAT) and not node.style:
                self._check_number(node, path)
            return _Extent(1, 0)
        if known := self._known.get(id(node)):
            return known
        if id(node) in self._open:
            self._add(line, path, "expected a value, got an alias (*) of the very keys it is in")
            return _Extent(1, 0)
        if len(path) > MOST_LEVELS:
            self._too_deep(line, path)
            return _Extent(1, 0)
        self.num_nodes += 1
        if node.tag not in (_MAP, _SEQ):
            tag = show(node.tag.replace(_TAG, "!!"), 60)
            self._add(line, path, f"expected a plain list or keys, got the tag {tag}; remove it")
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            parts = list(self._mapping(node, path))
        else:
            items = enumerate(node.value)
            parts = [self.extent(x, (*path, str(i)), x.start_mark.line) for i, x in items]
        self._open.discard(id(node))
        nodes = 1 + sum(part.nodes for part in parts)
        found = _Extent(nodes, 1 + max((part.levels for part in parts), default=0))
        # Aliases of aliases make levels that no path to the first of them shows.
        if found.levels == MOST_LEVELS + 1:
            self._too_deep(line, path)
        if nodes > _MOST_ADDED and self.largest is None:
            self.largest = line
        # Each node once: aliases of aliases would otherwise be walked exponentially often.
        self._known[id(node)] = found
        return found

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...]) -> Iterator[_Extent]:
        """Yield the extents of the values of a mapping, and check its keys."""
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line
            if not isinstance(key, yaml.ScalarNode):
                self._add(line, path, "expected a name before the colon, got a list or keys")
                continue
            if key.tag == _STR:
                if key.value in seen:
                    self._twice(key, path, seen[key.value])
                seen.setdefault(key.value, line)
            elif key.tag == _MERGE:
                self._check_merge(key, value, path)
            else:
                self._no_name(key, path)
            # The key counts as well: merges copy it.
            part = self.extent(value, (*path, key.value), line)
            yield part._replace(nodes=part.nodes + 1)

    def _add(self, line: int, path: tuple[str, ...], text: str) -> None:
        self.mistakes.append(Mistake(line + 1, path, text))

    def _too_deep(self, line: int, path: tuple[str, ...]) -> None:
        if not self._is_deep:
            self._is_deep = True
            self._add(line, path[:8], f"expected at most {MOST_LEVELS} levels of keys, got more")

    def _twice(self, key: yaml.ScalarNode, path: tuple[str, ...], first: int) -> None:
        text = f"expected a key once, got it again (first in line {first + 1}); remove one"
        self._add(key.start_mark.line, (*path, key.value), text)

    def _check_merge(self, key: yaml.ScalarNode, value: yaml.Node, path: tuple[str, ...]) -> None:
        merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
        for node in merged:
            if not isinstance(node, yaml.MappingNode):
                found = "a list" if isinstance(node, yaml.SequenceNode) else show(node.value, 60)
                text = f"expected an alias (*name) of keys, or a list of such, got {found}"
                self._add(key.start_mark.line, (*path, key.value), text)
                return

    def _no_name(self, key: yaml.ScalarNode, path: tuple[str, ...]) -> None:
        kind = key.tag.removeprefix(_TAG)
        if kind == "bool":
            got = f"{key.value}, which YAML reads as true or false"
        elif kind == "null":
            got = "nothing (null)"
        else:
            got = f"{_KINDS.get(kind, 'the ' + cut(kind, 40))} {show(key.value, 60)}"
        got = got.replace("'", "") if kind in _KINDS else got
        text = f'expected a name, got {got}; write it in quotes ("{cut(key.value, 60)}")'
        self._add(key.start_mark.line, (*path, key.value), text)

    def _check_number(self, node: yaml.ScalarNode, path: tuple[str, ...]) -> None:
        if not _ODD_NUMBER.fullmatch(node.value) or set(node.value.strip("+-")) <= {"0", "_"}:
            return
        meaning = yaml.SafeLoader("").construct_object(node)
        text = (
            f"expected a decimal number, got {cut(node.value, 60)},"
            f" which YAML reads as {show(meaning, 60)}; write that, or quote it if it is text"
        )
        self._add(node.start_mark.line, path, text)
