"""Answers what remote.py asks, from a store: the same for every way by which it is asked."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from lutfarm.store.interface import Store
from lutfarm.store.rpc.frames import END, FAILED, ITEM, dump_error
from lutfarm.store.rpc.methods import FARM_ID, Method, methods
from lutfarm_jobs.errors import FarmError, StoreError


def method_called(name: str) -> Method:
    """Raises StoreError for one that this version does not have."""
    found = methods().get(name)
    if found is None:
        raise StoreError(f"{name[:40]!r} is nothing that the store of this version does")
    return found


Amended = Callable[[dict[str, Any]], dict[str, Any]]
"""From the arguments that somebody sent, by name, to those that hold."""


def answer(store: Store, method: Method, content: bytes, amended: Amended = dict) -> bytes | Generator[bytes]:
    """The result as JSON, or the lines of a stream.  Raises FarmError where the store does; a stream ends with it instead."""
    arguments = amended(method.asked(content))
    if method.name == FARM_ID:
        return method.answer(store.farm_id)
    result: Any = getattr(store, method.name)(**arguments)
    return _lines(method, result) if method.streams else method.answer(result)


def _lines(method: Method, items: Iterator[object]) -> Generator[bytes]:
    try:
        for item in items:
            yield ITEM + method.answer(item) + b"\n"
    except FarmError as error:
        yield FAILED + dump_error(error) + b"\n"
        return
    yield END + b"\n"
