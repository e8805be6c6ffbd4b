"""Lists in pages: a cursor names the last item of the page before, so that what comes or goes meanwhile moves no other."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, TypeVar, cast

from fastapi import Query

from lutfarm.api.answers import Page
from lutfarm_jobs.errors import SpecError

Item = TypeVar("Item")
Answer = TypeVar("Answer")
MOST_ITEMS = 500
LONGEST_CURSOR = 2000

LimitQuery = Annotated[int, Query(ge=1, le=MOST_ITEMS, description="so many items at most")]
CursorQuery = Annotated[str | None, Query(max_length=LONGEST_CURSOR, description="`next` of the page before")]
Place = tuple[str | float, ...]
"""Where an item stands in its list: places ascend."""


def cursor_of(place: Place) -> str:
    """The text that a client gives back."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def place_of(cursor: str, kinds: tuple[type, ...]) -> Place:
    """From such a text.  Raises SpecError for one that none of ours is."""
    try:
        found: object = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise SpecError("the cursor is none that this server gave; begin without one") from error
    if not isinstance(found, list) or [type(one) for one in cast("list[object]", found)] != list(kinds):
        raise SpecError("the cursor is none of this list; begin without one")
    return tuple(cast("list[str | float]", found))


def page(
    items: Iterable[Item], place: Callable[[Item], Place], shown: Callable[[Item], Answer], *, limit: int, after: Place | None
) -> Page[Answer]:
    """The next `limit` of items that ascend by their place; `shown` is asked of those alone."""
    found: list[Item] = []
    for item in items:
        if after is not None and place(item) <= after:
            continue
        if len(found) == limit:
            return Page(items=[shown(one) for one in found], next=cursor_of(place(found[-1])))
        found.append(item)
    return Page(items=[shown(one) for one in found])


def after_of(cursor: str | None, kinds: Sequence[type]) -> Place | None:
    """The place behind which a page begins; None for the first."""
    return None if cursor is None else place_of(cursor, tuple(kinds))
