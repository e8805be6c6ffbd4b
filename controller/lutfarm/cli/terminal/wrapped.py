"""Sentences in lines of a terminal's width, in which a command or a path can still be copied.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

INDENT = "  "
ENDS = (";", ",", ":", ")", ").", ").")  # of a word: here ends the command that it stands in
PROGRAMS = ("lutfarm", "pip", "make")
SECOND = {"pip": "install", "make": "demo"}  # what makes a word of prose a command
QUOTES = ("`", "'")
UNITS = ("%", "s", "ms", "us", "ns", "min", "h", "C", "MB", "GiB")  # stand on the line of their number


def wrapped(text: str, width: int, *, first: str = "", indent: str = INDENT) -> list[str]:
    """Lines of at most `width` cells, the first after `first`, the others after `indent`.

    Broken only between words, and never inside a command, what stands in quotes or a path: what is longer than a line by
    itself stays whole, for the terminal to fold.
    """
    lines, line, empty = list[str](), first, True
    for piece in _pieces(text.split(" ")):
        if not empty and cell_len(line) + 1 + cell_len(piece) > width:
            lines.append(line)
            line, empty = indent, True
        line += piece if empty else f" {piece}"
        empty = False
    return [*lines, line]


def _pieces(words: Sequence[str]) -> Iterator[str]:
    """Words, and commands and quotations as if they were one."""
    at = 0
    while at < len(words):
        end = _command_end(words, at) or _quote_end(words, at) or _unit_end(words, at) or at + 1
        yield " ".join(words[at:end])
        at = end


def _command_end(words: Sequence[str], at: int) -> int | None:
    """Behind the last word of the command that begins there; None where none does."""
    program = words[at].removeprefix("(")
    follows = words[at + 1] if at + 1 < len(words) else ""
    if program not in PROGRAMS or not follows or follows != SECOND.get(program, follows):
        return None
    return next((end for end in range(at + 1, len(words)) if words[end - 1].endswith(ENDS)), len(words))


def _unit_end(words: Sequence[str], at: int) -> int | None:
    """Behind the unit of the number that stands there; None where none does."""
    follows = words[at + 1].rstrip(";,.:)") if at + 1 < len(words) else ""
    return at + 2 if words[at][-1:].isdigit() and follows in UNITS else None


def _quote_end(words: Sequence[str], at: int) -> int | None:
    """Behind the last word of the quotation that begins there; None where none does."""
    quote = words[at].lstrip("(")[:1]
    if quote not in QUOTES:
        return None
    inside = (words[at].lstrip("(")[1:], *words[at + 1 :])
    return next((at + n for n, word in enumerate(inside, start=1) if quote in word), None)
