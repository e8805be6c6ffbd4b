"""Two tables against each other: what is matched, refused, named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.lut_kit import ORT, TFLITE, entry, failed, manifest

from lutfarm.cli.lut.diff import words
from lutfarm.lut import Entry, LatencyTable
from lutfarm.lut.diff import MOST_ENTRIES, diff
from lutfarm_jobs.errors import SpecError

NAMES = [f"conv_{n}" for n in range(8)]


def zero(name: str) -> Entry:
    return replace(entry(name), kind="zero", estimate=0.0, low=0.0, high=0.0, statistic="", flags=())


def table(*entries: Entry, job: str = "j", **changes: object) -> LatencyTable:
    return LatencyTable.of(entries, manifest(job_id=job, job_name=job, **changes))


def of(factor: float = 1.0, *, device: str = "desk", job: str = "j", **slower: float) -> LatencyTable:
    return table(
        *(entry(name, 100.0 * 1.3**n * factor * slower.get(name, 1.0), device=device) for n, name in enumerate(NAMES)), job=job
    )


def test_a_table_does_not_differ_from_itself() -> None:
    found = diff(of(), of())
    assert [e.workload for e in found.entries] == [f"operator:{name}" for name in NAMES]
    assert {e.ratio for e in found.entries} == {1.0}
    assert not any(e.differs or e.differs_beside_shift for e in found.entries)
    assert (found.shift, found.flip_count, found.reversed_pairs, found.pairs) == (1.0, 0, 0, 28)
    assert found.kendall_tau == pytest.approx(1.0)
    assert found.same_job


def test_tables_whose_pairs_are_too_many_to_rank_are_refused_before_anything_is_made_of_them() -> None:
    many = table(*(entry(f"conv_{n}") for n in range(MOST_ENTRIES + 1)))
    for a, b, side in ((of(), many, "b"), (many, of(), "a")):
        with pytest.raises(SpecError, match=f"5001 entries.*5000 are the most.*--backend-{side}"):
            diff(a, b)


def test_a_common_shift_is_told_from_what_differs_beside_it() -> None:
    found = diff(of(), of(1.2, device="pi", job="k", conv_2=1.5))
    assert found.shift == pytest.approx(1.2)
    assert all(e.differs for e in found.entries)
    assert [e.workload for e in found.entries if e.differs_beside_shift] == ["operator:conv_2"]
    assert any("can't be told apart" in line for line in words(found))
    assert (found.flip_count, found.flips[0].first, found.flips[0].second) == (1, "operator:conv_2", "operator:conv_3")
    assert (found.flips[0].a_ratio, found.flips[0].b_ratio) == (pytest.approx(1.3), pytest.approx(1.3 / 1.5))
    assert found.flip_share == pytest.approx(1 / 28)


@pytest.mark.parametrize(("entries", "told"), [(4, {None}), (5, {False})])
def test_a_shift_is_told_from_five_entries_on(entries: int, told: set[bool | None]) -> None:
    a, b = (
        table(*(entry(name, factor * 100.0 * 1.3**n) for n, name in enumerate(NAMES[:entries])), job=job)
        for factor, job in ((1.0, "j"), (1.2, "k"))
    )
    found = diff(a, b)
    assert {e.differs_beside_shift for e in found.entries} == told
    assert all(e.differs for e in found.entries)


def test_one_entry_is_enough_and_says_nothing_of_shifts_and_ranks() -> None:
    found = diff(table(entry("x", 100.0)), table(entry("x", 150.0, backend=TFLITE), job="k"))
    (only,) = found.entries
    assert only.differs
    assert (only.ratio, only.differs_beside_shift) == (pytest.approx(1.5), None)
    assert (found.kendall_tau, found.pairs, found.flip_share) == (None, 0, None)


def test_what_only_one_has_what_failed_and_what_is_flagged_are_named() -> None:
    a = table(entry("x"), entry("only_a"), entry("y", flags=("reference_provisional",)), failed("f"), zero("nothing"))
    b = table(entry("x"), entry("only_b"), entry("y"), entry("f"), zero("nothing"))
    found = diff(a, b)
    assert (found.only_in_a, found.only_in_b, found.zeros) == (("operator:only_a",), ("operator:only_b",), 1)
    assert [(one.workload, one.side, one.code) for one in found.failed] == [("operator:f", "A", "OutOfMemory")]
    assert [e.workload for e in found.flagged] == ["operator:y"]
    said = "\n".join(words(found))
    for text in (
        "only in A: 1: only_a",
        "only in B: 1: only_b",
        "failed: 1: f in A (OutOfMemory)",
        "flagged reference_provisional in A or B: 1: y",
    ):
        assert text in said


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"statistic": "tool_mean"}, "statistic"),
        ({"statistic": "p25_contended"}, "statistic"),
        ({"quantity": "energy"}, "quantity"),
    ],
)
def test_another_statistic_or_quantity_is_refused_by_its_field(changes: dict[str, str], field: str) -> None:
    other = replace(entry("y"), **changes)  # type: ignore[arg-type]
    found = diff(table(entry("x"), entry("y")), table(entry("x"), other))
    assert [e.workload for e in found.entries] == ["operator:x"]
    assert [(one.workload, one.field, one.b) for one in found.refused] == [("operator:y", field, changes[field])]
    with pytest.raises(SpecError, match=rf"{field} is '\w+' in A and '{changes[field]}' in B"):
        diff(table(entry("y")), table(other))


def test_an_interval_that_reaches_zero_has_no_ratio() -> None:
    with pytest.raises(SpecError, match="low is '98' in A and '0' in B"):
        diff(table(entry("x")), table(replace(entry("x"), low=0.0)))


def test_a_zero_by_definition_is_not_compared_with_a_measurement() -> None:
    with pytest.raises(SpecError, match="kind is 'zero' in A and 'measured' in B"):
        diff(table(zero("x")), table(entry("x")))


def test_no_common_operator_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(SpecError, match="no operator in common: A has operator:x, B has operator:y"):
        diff(table(entry("x")), table(entry("y")))
    two = table(entry("x", device="pi1"), entry("x", device="pi2"))
    with pytest.raises(SpecError, match="matched by workload and device: select with --device-a"):
        diff(table(entry("x")), two)


def test_tables_of_several_backends_are_matched_backend_by_backend() -> None:
    both = table(entry("x", 100.0), entry("x", 50.0, backend=TFLITE))
    found = diff(both, table(entry("x", 60.0, backend=TFLITE), entry("x", 90.0)))
    assert {e.workload.rpartition(" ")[2]: round(e.ratio, 9) for e in found.entries} == {
        ORT.process_key: 0.9,
        TFLITE.process_key: 1.2,
    }
    one = diff(table(entry("x", 100.0)), both)
    assert len(one.entries) == len(one.only_in_b) == 1


def test_what_was_measured_otherwise_is_said() -> None:
    prints = {"p": {"runtime": "onnxruntime 1.31.0", "os": "Linux 6"}}, {"q": {"runtime": "onnxruntime 1.32.0", "os": "Linux 6"}}
    tables = [
        table(replace(entry("x"), fingerprint=next(iter(found))), fingerprints=found, job=job)
        for job, found in zip("jk", prints, strict=True)
    ]
    (said,) = diff(*tables).differences
    assert str(said) == "runtime: 'onnxruntime 1.31.0' (A) and 'onnxruntime 1.32.0' (B)"
