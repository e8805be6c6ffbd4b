"""Which farm a command is about: the one of a home on this machine, or one that is served."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lutfarm.home import SERVER, TOKEN, find_home
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.extras import extras

if TYPE_CHECKING:
    from lutfarm.client.link import Link
    from lutfarm.client.remote_farm import RemoteFarm
    from lutfarm.store.interface import Store

NAMES_ONE = f"name it: lutfarm --server http://HOST:8420 ..., or {SERVER}"


def server() -> str:
    """The address of the farm's server; empty: the farm is that of a home here."""
    return os.environ.get(SERVER, "")


@contextmanager
def store_of(home: Path | None, *, to_read: bool = False, begun: bool = False, agents: bool = False) -> Generator[Store]:
    """The farm's store: from its server where one is named, which lets read, and say of devices; else as `open_store`.

    Raises SpecError where a home is named too, unless `agents` of this machine keep their files there.
    """
    if not server():
        from lutfarm.store import open_store  # takes longer than all that a help page needs

        with closing(open_store(find_home(home).path, to_read=to_read, begun=begun)) as store:
            yield store
        return
    if home is not None and not agents:
        raise SpecError(f"--home {home}: the farm is that of {server()} ({SERVER}); name one of the two")
    with extras():
        from lutfarm.client.served_store import served_store
    with closing(served_store(link())) as store:
        yield store


def link() -> Link:
    """To the server that is named.  Raises SpecError, ExtraMissing."""
    _require_named()
    with extras():
        from lutfarm.client.link import Link
    return Link(server(), os.environ.get(TOKEN, ""))


def served_farm() -> RemoteFarm:
    """The farm that is named.  Raises SpecError, ExtraMissing."""
    _require_named()
    with extras():
        from lutfarm.client.remote_farm import RemoteFarm
    return RemoteFarm(server(), os.environ.get(TOKEN, ""))


def _require_named() -> None:
    if not server():
        raise SpecError(f"no served farm is named; {NAMES_ONE}")


def refuse_here(home: Path | None, executor: str | None) -> None:
    """Raises SpecError for options that are about this machine, where a served farm measures."""
    for option, given in (("--home", home), ("--executor", executor)):
        if given is not None:
            raise SpecError(f"{option} {given}: {server()} ({SERVER}) measures; leave the option out, or the server")


def require_here(instead: str) -> None:
    """Raises SpecError where a served farm is named, for a command that works on a home of this machine."""
    if server():
        raise SpecError(f"this measures with a farm of this machine's own, and {SERVER} names {server()}: {instead}, or unset it")
