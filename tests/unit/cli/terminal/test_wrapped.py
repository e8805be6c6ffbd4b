"""Sentences in lines, whose commands can be copied."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.cli.terminal.wrapped import INDENT, wrapped

SENTENCE = "desk is lost: no route to it; connect it, then run the job again, or lutfarm device check desk"


def test_a_sentence_breaks_between_words() -> None:
    assert wrapped("one two three", 8) == ["one two", "  three"]
    assert wrapped("one two three", 13) == ["one two three"]


def test_what_comes_first_counts_and_stays_before_the_first_word() -> None:
    assert wrapped("one two", 10, first="why: ", indent="     ") == ["why: one", "     two"]


def test_a_command_is_never_broken() -> None:
    assert wrapped(SENTENCE, 40)[-1] == "  lutfarm device check desk"
    assert any("lutfarm device check desk" in line for line in wrapped(SENTENCE, 5))


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("measure through Ray: --executor ray, after pip install 'lutfarm[ray]' where", "'lutfarm[ray]'"),
        ("bias +0.11 %, within 5 %: 92 %", "+0.11 %,"),
        ("it will take 12 s to 38 s: rounds", "38 s:"),
        ("to measure it anew: lutfarm run a b.yaml, once you put `fresh: true` into it", "lutfarm run a b.yaml,"),
        ("to measure it anew: lutfarm run job.yaml, once you put `fresh: true` into it", "`fresh: true`"),
        ("written: '/tmp/a folder/of mine/lut.json', and more", "'/tmp/a folder/of mine/lut.json',"),
        (
            "not there (lutfarm bundle build --arch arm64 --runtime tflite) at all",
            "(lutfarm bundle build --arch arm64 --runtime tflite)",
        ),
    ],
)
def test_what_is_typed_or_quoted_stands_on_one_line(text: str, whole: str) -> None:
    for width in range(1, 60):
        assert any(whole in line for line in wrapped(text, width))


def test_a_word_that_is_longer_than_a_line_stays_whole() -> None:
    assert wrapped("in /a/very/long/path it is", 8) == ["in", "  /a/very/long/path", "  it is"]


def test_an_apostrophe_is_no_quotation() -> None:
    assert wrapped("'tis a thing that runs on and on", 12) == ["'tis a thing", "  that runs", "  on and on"]


@given(st.lists(st.text("ab'`(lutfarm", min_size=1, max_size=9), min_size=1), st.integers(1, 40))
def test_nothing_is_lost_and_only_what_is_whole_is_too_long(words: list[str], width: int) -> None:
    text = " ".join(words)
    lines = wrapped(text, width)
    assert " ".join(line.removeprefix(INDENT) if at else line for at, line in enumerate(lines)) == text
