"""Reads YAML that people write: strict, bounded, and clear about what is wrong where."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from lutfarm_jobs.errors import SpecError

DEEPEST = 20


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        """As the parent does, but a key that stands twice is an error."""
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key: object = self.construct_object(key_node, deep=True)  # pyright: ignore[reportUnknownMemberType]
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key must be plain text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path, *, limit_bytes: int) -> object:
    """What a YAML file holds, as plain data.  Raises SpecError naming the file, and the line where there is one."""
    try:
        with path.open("rb") as file:
            content = file.read(limit_bytes + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SpecError(f"{path}: can't be read: {reason}") from error
    if len(content) > limit_bytes:
        raise SpecError(f"{path}: longer than {limit_bytes} bytes, which is the most for such a file")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SpecError(f"{path}: line {line}: not UTF-8 text") from error
    return parse_yaml(text, source=str(path))


def parse_yaml(text: str, *, source: str) -> object:
    """Plain data from YAML text: one document, no aliases, anchors or tags, no key twice, not too deep."""
    try:
        _check_events(text, source)
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise SpecError(f"{source}: {where}{str(error.problem or error.context)[:200]}") from error
    except yaml.YAMLError as error:
        raise SpecError(f"{source}: no YAML: {str(error)[:200]}") from error
    except (ValueError, OverflowError) as error:
        raise SpecError(f"{source}: a value can't be read: {str(error)[:200]}") from error


def _check_events(text: str, source: str) -> None:
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            raise SpecError(f"{source}: line {line}: aliases (*name) are refused; write the value out")
        if getattr(event, "anchor", None):
            raise SpecError(f"{source}: line {line}: anchors (&name) are refused; write the value out")
        if getattr(event, "tag", None):
            raise SpecError(f"{source}: line {line}: tags (!name) are refused; write a plain value")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise SpecError(f"{source}: line {line}: one document is needed, here begins a second one")
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise SpecError(f"{source}: line {line}: nested deeper than {DEEPEST} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
