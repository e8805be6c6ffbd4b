"""What others can add to lutfarm: by name, ours from a table in the source, theirs from entry points of installed packages.

Nothing of a package is imported before what it adds, or all of its kind, is asked for: the runner is made of all runtimes that
work, for example.  A name that is taken twice is refused when it is used.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from typing import Generic, TypeVar

from lutfarm_jobs.errors import FarmError, PluginRefused, SpecError

OWN = "lutfarm itself"
MOST_LISTED = 20  # names in an error

Kind = TypeVar("Kind")
Given = TypeVar("Given")


@dataclass(frozen=True, slots=True)
class _Source:
    """Who adds a name: `reference` is MODULE:OBJECT, or the object."""

    who: str
    reference: object


class Registry(Generic[Kind]):
    """The things of one kind by name.

    `group`: of the entry points that add to it, `lutfarm.runtimes` for example; an entry point's name is the thing's.
    `what`: one of them in words.  `own`: ours, each the thing or where it is, MODULE:OBJECT.
    """

    def __init__(
        self, group: str, what: str, kind: type[Kind], own: Mapping[str, Kind | str], *, pattern: str = r"[a-z][a-z0-9_]{0,39}"
    ) -> None:
        self.group = group
        self.what = what
        self._kind = kind
        self._own = own
        self._pattern = pattern
        self._loaded: dict[str, Kind] = {}

    def names(self) -> tuple[str, ...]:
        """All of them, ours first; nothing is imported."""
        return tuple(self._sources)

    def own(self) -> tuple[str, ...]:
        """The names of ours."""
        return tuple(self._own)

    def __contains__(self, name: object) -> bool:
        return name in self._sources

    def __getitem__(self, name: str) -> Kind:
        """Raises SpecError that lists the names; PluginRefused where a package is broken, or two add that name."""
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def find(self, name: str) -> Kind | None:
        """None where nothing adds it.  Raises PluginRefused."""
        if name not in self._sources:
            return None
        return self[name]

    def items(self) -> Iterator[tuple[str, Kind]]:
        """All of them, imported.  Raises PluginRefused."""
        return ((name, self[name]) for name in self.names())

    def usable(self) -> Iterator[tuple[str, Kind]]:
        """Ours, and of other packages' those that work: a broken one, or a name that two add, is refused where it is used."""
        for name in self.names():
            try:
                found = self[name]
            except PluginRefused:
                continue
            yield name, found

    def source(self, name: str) -> str:
        """Who adds that name: `lutfarm itself`, or an entry point of a distribution."""
        return " and ".join(source.who for source in self._sources[name])

    @contextmanager
    def calling(self, name: str) -> Generator[None]:
        """Around what the thing of that name does: what another package's raises, and is no FarmError, becomes PluginRefused."""
        try:
            yield
        except FarmError:
            raise
        except Exception as error:
            # A stranger's exceptions have no common root; ours are bugs, and are seen as such.
            if name in self._own or name not in self._sources:
                raise
            what = f"the {self.what} {name!r}, which {self.source(name)} adds, failed"
            raise PluginRefused(f"{what}: {type(error).__name__}: {str(error)[:500]}") from error

    def given(self, name: str, found: object, kind: type[Given]) -> Given:
        """What the thing of that name gave.  Raises PluginRefused where that is of another type."""
        if not isinstance(found, kind):
            what = f"the {self.what} {name!r}, which {self.source(name)} adds,"
            raise PluginRefused(f"{what} gives a {type(found).__name__} where a {kind.__name__} is wanted")
        return found

    def _load(self, name: str) -> Kind:
        sources = self._sources.get(name)
        if sources is None:
            raise SpecError(self.unknown(name))
        if len(sources) > 1:
            raise PluginRefused(f"the {self.what} {name!r} is added by {self.source(name)}: uninstall all but one of them")
        (source,) = sources
        if not re.fullmatch(self._pattern, name):
            raise PluginRefused(f"{source.who} adds a {self.what} whose name has not the form {self._pattern}")
        found = source.reference
        if isinstance(found, str):
            found = referenced(found, f"the {self.what} {name!r}, which {source.who} adds,")
        if not isinstance(found, self._kind):
            raise PluginRefused(f"{source.who} adds a {self.what} that is a {type(found).__name__}, not a {self._kind.__name__}")
        return found

    def unknown(self, name: str) -> str:
        """What is said of a name that nothing adds."""
        names = self.names()
        more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
        return (
            f"there is no {self.what} {name[:80]!r}, but {', '.join(names[:MOST_LISTED])}{more}; "
            f"if a package adds it (entry points {self.group}), install that here"
        )

    @cached_property
    def _sources(self) -> Mapping[str, Sequence[_Source]]:
        found: dict[str, list[_Source]] = {name: [_Source(OWN, own)] for name, own in self._own.items()}
        for entry in metadata.entry_points(group=self.group):
            found.setdefault(entry.name, []).append(_Source(_origin(entry), entry.value))
        return found


def referenced(reference: str, what: str) -> object:
    """The object at MODULE:OBJECT.  Raises PluginRefused that begins with `what`."""
    module, _, name = reference.replace(" ", "").partition(":")
    try:
        found: object = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        # What a stranger's module raises while it is imported has no common root.
        raise PluginRefused(
            f"{what} can't be imported from {reference[:200]}: {type(error).__name__}: {str(error)[:500]}; "
            "mend or uninstall that package"
        ) from error
    return found


def _origin(entry: metadata.EntryPoint) -> str:
    where = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package without a name"
    return f"{where} (entry point {entry.group}: {entry.name} = {entry.value})"
