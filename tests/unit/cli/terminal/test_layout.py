"""Tables on terminals of some width, and in pipes."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lutfarm.cli.terminal.layout import Column, pipe_lines, terminal_lines

KEY, DEVICE, FLAGS, WHY = Column("workload", "key"), Column("device", "shared"), Column("flags", "words"), Column("why", "prose")
LONG = [f"mbconv_H{h}_W{h}_Cin64_Cout112_mid64_k3_s1_g1_x1_se0_res0_relu" for h in (7, 14)]


def texts(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    return [line.text for line in terminal_lines(columns, rows, width)]


def test_what_fits_is_aligned() -> None:
    rows = [["conv", "12"], ["c", "3"]]
    assert texts([KEY, Column("runs", right=True)], rows, 80) == ["workload  runs", "conv        12", "c            3"]


def test_what_every_row_has_stands_above() -> None:
    assert texts([KEY, DEVICE], [["a", "desk"], ["b", "desk"]], 80) == ["device: desk", "workload", "a", "b"]
    assert texts([KEY, DEVICE], [["a", "desk"], ["b", "pi"]], 80) == ["workload  device", "a         desk", "b         pi"]


def test_two_headings_that_are_too_long_for_one_line_take_two() -> None:
    rows = [["a", "desk", "onnxruntime"]]
    assert texts([KEY, DEVICE, Column("backend", "shared")], rows, 30)[:2] == ["device: desk", "backend: onnxruntime"]


def test_words_that_every_row_has_stand_above_and_the_others_in_their_row() -> None:
    rows = [["a", "converged reference_provisional"], ["b", "reference_provisional contended"]]
    assert texts([KEY, FLAGS], rows, 80) == [
        "flags in every row: reference_provisional",
        "workload  flags",
        "a         converged",
        "b         contended",
    ]


def test_one_row_keeps_its_words() -> None:
    assert texts([KEY, FLAGS], [["a", "converged"]], 80) == ["workload  flags", "a         converged"]


def test_a_column_without_anything_in_it_is_not_there() -> None:
    assert texts([KEY, WHY], [["a", ""], ["b", ""]], 80) == ["workload", "a", "b"]


def test_a_table_without_rows_has_its_columns() -> None:
    assert texts([KEY, WHY], [], 80) == ["workload  why"]


def test_prose_goes_below_its_row_before_keys_are_shortened() -> None:
    rows = [[LONG[0], "it is too hot there"], [LONG[1], ""]]
    assert texts([KEY, WHY], rows, 70) == ["workload", LONG[0], "    why: it is too hot there", LONG[1]]


def test_prose_that_fits_stands_in_its_row_though_that_of_another_does_not() -> None:
    rows = [["a", "fine"], ["b", "it is too hot there"], ["c", ""]]
    assert texts([KEY, WHY], rows, 24) == ["workload  why", "a         fine", "b", "    why: it is too hot", "      there", "c"]


def test_prose_below_a_row_is_broken_between_words() -> None:
    assert texts([KEY, WHY], [["a", "it is too hot there to measure"]], 20)[1:] == [
        "a",
        "    why: it is too",
        "      hot there to",
        "      measure",
    ]


def test_keys_are_shortened_before_other_columns_leave() -> None:
    shown = texts([KEY, Column("latency"), FLAGS], [[LONG[0], "12.35 us", "converged"], [LONG[1], "9 us", ""]], 40)
    assert shown[1].split() == ["mbconv_H7_W7\u2026relu", "12.35", "us", "converged"]


def test_what_can_not_stand_beside_a_key_stands_below_it() -> None:
    rows = [["job-1234", "complete", "4", "0"], ["job-5678", "open", "1", "2"]]
    columns = [Column("job"), Column("state"), Column("runs"), Column("failed")]
    assert texts(columns, rows, 20) == [
        "job       state",
        "job-1234  complete",
        "    runs 4; failed 0",
        "job-5678  open",
        "    runs 1; failed 2",
    ]


def test_rows_that_share_a_device_are_a_table_of_their_own_where_that_keeps_them_whole() -> None:
    rows = [[f"conv_{at}", device, "12.35 us"] for device in ("desk", "pi") for at in range(3)]
    shown = texts([KEY, DEVICE, Column("latency")], rows, 19)
    assert shown[:3] == ["device: desk", "workload  latency", "conv_0    12.35 us"]
    assert shown[5:8] == ["", "device: pi", "workload  latency"]
    mixed = [row for pair in zip(rows[:3], rows[3:], strict=True) for row in pair]
    assert texts([KEY, DEVICE, Column("latency")], mixed, 19)[:2] == ["workload  device", "conv_0    desk"]


def test_columns_that_belong_together_leave_their_rows_together() -> None:
    columns = [KEY, Column("ratio"), Column("A", beside="sides"), Column("B", beside="sides")]
    assert texts(columns, [["conv_a", "0.507", "22.99 us", "11.65 us"]], 28) == [
        "workload  ratio",
        "conv_a    0.507",
        "    A 22.99 us; B 11.65 us",
    ]


def test_a_first_column_that_is_too_long_stays_whole() -> None:
    assert texts([Column("job"), Column("state")], [["a" * 40, "open"]], 20) == ["job", "a" * 40, "    state open"]


def test_a_pipe_gets_every_column_whole_and_nothing_else() -> None:
    rows = [[LONG[0], "desk", "converged", ""], [LONG[1], "desk", "converged", "hot"]]
    assert pipe_lines([KEY, DEVICE, FLAGS, WHY], rows) == [
        "workload\tdevice\tflags\twhy",
        f"{LONG[0]}\tdesk\tconverged\t",
        f"{LONG[1]}\tdesk\tconverged\thot",
    ]


ROW = st.tuples(
    st.sampled_from([f"conv_H{h}_k{k}_s{s}_relu" for h in (7, 14) for k in (1, 3) for s in (1, 2)]),
    st.sampled_from(["desk", "pi"]),
    st.text("漢a ", max_size=6),
    st.sampled_from(["", "converged", "converged contended"]),
    st.text("ab ", max_size=60),
)


@given(rows=st.lists(ROW, max_size=8), width=st.integers(24, 120))
def test_no_line_is_longer_than_the_terminal_and_every_row_has_one(rows: list[tuple[str, ...]], width: int) -> None:
    lines = terminal_lines([KEY, DEVICE, Column("value"), FLAGS, WHY], rows, width)
    whole = max((len(word) for row in rows for word in row[4].split(" ")), default=0)
    assert all(cell_len(line.text) <= max(width, whole + 9) for line in lines)
    assert sum(line.kind == "row" for line in lines) == len(rows)
