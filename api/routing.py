"""Finds the operation of a path: a tree of segments, no patterns, cost by the depth of the path."""

from collections.abc import Iterable
from urllib.parse import unquote

from api.call import Prepared


class _Node:
    __slots__ = ("literal", "operations", "value")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.value: _Node | None = None
        self.operations: dict[str, Prepared] = {}


class Router:
    """Maps method and path to an operation and the values in the path."""

    def __init__(self, operations: Iterable[Prepared]) -> None:
        """Build the tree."""
        self._root = _Node()
        for operation in operations:
            self._add(operation)

    def _add(self, prepared: Prepared) -> None:
        operation = prepared.operation
        node = self._root
        for segment in operation.path.split("/")[1:]:
            if segment.startswith("{"):
                node.value = node.value or _Node()
                node = node.value
            else:
                node = node.literal.setdefault(segment, _Node())
        if operation.method in node.operations:
            message = f"{operation.method} {operation.path} is defined twice"
            raise ValueError(message)
        node.operations[operation.method] = prepared

    def methods(self, raw_path: str) -> list[str]:
        """Return the methods that a path has, none for an unknown path."""
        found = self._walk(raw_path)
        return sorted(found[0].operations) if found else []

    def find(self, method: str, raw_path: str) -> tuple[Prepared, list[str]] | None:
        """Return the operation and the decoded, trimmed values; None when there is none.

        The path is taken as it was sent, so that a value may hold an encoded slash; one with
        a slash at its end has no operation.
        """
        found = self._walk(raw_path)
        if found is None:
            return None
        prepared = found[0].operations.get(method)
        return None if prepared is None else (prepared, found[1])

    def _walk(self, raw_path: str) -> tuple[_Node, list[str]] | None:
        if raw_path.endswith("/") and raw_path != "/":
            return None
        node = self._root
        values: list[str] = []
        for segment in raw_path.split("/")[1:]:
            child = node.literal.get(segment)
            if child is None:
                child = node.value
                if child is None:
                    return None
                values.append((unquote(segment) if "%" in segment else segment).strip())
            node = child
        return node, values
