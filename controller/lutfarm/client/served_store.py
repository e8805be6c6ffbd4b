"""The store of a served farm from another machine: what lutfarm's own commands read, and say of devices."""

from __future__ import annotations

from lutfarm.api.root import API
from lutfarm.client.link import Link
from lutfarm.store.interface import Store
from lutfarm.store.rpc.methods import READS
from lutfarm.store.rpc.remote import remote_store


def served_store(link: Link) -> Store:
    """At the end of a link, which closing the store closes.  Other methods than a viewer's or an operator's are refused there."""
    return remote_store(link.client, link.place, _path)


def _path(method: str) -> str:
    return f"{API}/store/{'read' if method in READS else 'devices'}/{method}"
