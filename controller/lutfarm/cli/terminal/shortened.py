"""Names that are too long for a column: shortened in the middle, and still told apart.  Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

GAP = "\u2026"
_PIECE = re.compile(r"[^_/,:@.\-| ]+[_/,:@.\-| ]*|[_/,:@.\-| ]+")

Shape = tuple[str, int]  # the first piece and how many there are: names of one shape lose the same pieces


@dataclass(frozen=True, slots=True)
class _Kind:
    """Names of one shape, in their pieces, and which positions are left out of all of them."""

    names: tuple[tuple[str, ...], ...]
    left_out: frozenset[int] = frozenset()

    def texts(self) -> list[str]:
        return [_text(pieces, self.left_out) for pieces in self.names]

    def without(self, position: int) -> _Kind:
        return _Kind(self.names, self.left_out | {position})

    def positions(self) -> Iterator[int]:
        """In the order in which they are left out: what is the same in all of them, then the others; from the middle outwards.

        The first and the last piece are never left out.
        """
        count = len(self.names[0])
        same = {at for at in range(count) if len({pieces[at] for pieces in self.names}) == 1}
        yield from sorted(range(1, count - 1), key=lambda at: (at not in same, abs(2 * at - count + 1), at))


def shortened(names: Collection[str], width: int) -> Mapping[str, str]:
    """Each name by itself: at most `width` cells wide where that is possible, and no two alike.

    Names are cut between their pieces (`conv_H56_W56_...`), all names of a shape at the same ones, so that what is left
    of two rows can be compared; what tells two of them apart stays.
    """
    kinds: dict[Shape, list[tuple[str, ...]]] = {}
    for name in dict.fromkeys(names):
        pieces = tuple(_PIECE.findall(name)) or (name,)
        kinds.setdefault((pieces[0], len(pieces)), []).append(pieces)
    shown = {name: name for name in names}
    for found in kinds.values():
        kind = _Kind(tuple(found))
        full = ["".join(pieces) for pieces in found]
        own = set(full)
        others = {text for name, text in shown.items() if name not in own}
        for position in kind.positions():
            if max(map(cell_len, kind.texts())) <= width:
                break
            shorter = kind.without(position)
            texts = shorter.texts()
            if len(set(texts)) == len(texts) and others.isdisjoint(texts):
                kind = shorter
        shown.update(zip(full, kind.texts(), strict=True))
    return shown


def _text(pieces: Sequence[str], left_out: Collection[int]) -> str:
    """The pieces that are left, a gap where some are not; what separates a piece from a gap goes with it."""
    text = ""
    for at, piece in enumerate(pieces):
        if at not in left_out:
            text += piece
        elif not text.endswith(GAP):
            text = text.rstrip("_/,:@.-| ") + GAP
    return text
