"""`lutfarm lut diff` over table files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.lut_kit import entry, manifest

from lutfarm.lut import LatencyTable, save

NAMES = [f"conv_H{2 * n}_W{2 * n}_Cin8_Cout8_k3_s1_g1_relu" for n in range(1, 13)]


@pytest.fixture(autouse=True)
def tables(tmp_path: Path) -> None:
    for name, job, slow in (("a.json", "monday", 1.0), ("b.csv", "tuesday", 1.6), ("again.parquet", "again", 1.0)):
        entries = [entry(key, 1e4 * 1.2**n * (slow if n == 3 else 1.0)) for n, key in enumerate(NAMES)]
        save(LatencyTable.of(entries, manifest(job_id=job, job_name=job)), tmp_path / name)
    save(LatencyTable.of([entry("else")], manifest()), tmp_path / "else.json")
    save(LatencyTable.of([entry(NAMES[0], statistic="tool_mean")], manifest()), tmp_path / "tool.json")


def test_a_slower_operator_is_found_with_the_ranks_that_it_changes(lutfarm: Callable) -> None:
    result = lutfarm("lut", "diff", "a.json", "b.csv")
    assert result.returncode == 0, result.stderr
    row = result.stdout.splitlines()[1]
    assert row.split()[0] == NAMES[3]
    assert "1.600" in row
    assert "slower" in row
    assert result.stdout.count("no difference") == 11
    assert "in B 1 are slower and 0 faster beyond noise" in result.stderr
    assert f"{NAMES[4]} takes 1.200 x {NAMES[3]} in A, 0.750 x in B" in result.stderr
    assert "lutfarm compare" in result.stderr
    for side in "AB":
        assert f"{side}: desk with onnxruntime-cpu-t1-fp32: never validated against whole networks" in result.stderr
    found = json.loads(lutfarm("lut", "diff", "a.json", "b.csv", "--json").stdout)
    assert (found["flip_count"], found["pairs"]) == (2, 66)
    assert found["flip_share"] == pytest.approx(2 / 66)
    assert [e["workload"] for e in found["entries"] if e["differs"]] == [f"operator:{NAMES[3]}"]
    same = json.loads(lutfarm("lut", "diff", "a.json", "again.parquet", "--json").stdout)
    assert (same["flip_count"], same["shift"], any(e["differs"] for e in same["entries"])) == (0, 1.0, False)


def test_pictures_hold_every_operator_and_the_flips(lutfarm: Callable, tmp_path: Path) -> None:
    for name, magic in (("p.svg", b"<?xml"), ("p.png", b"\x89PNG"), ("p.pdf", b"%PDF")):
        result = lutfarm("lut", "diff", "a.json", "b.csv", "--out", name)
        assert result.returncode == 0, result.stderr
        assert (tmp_path / name).read_bytes().startswith(magic)
    texts = [e.text for e in ElementTree.fromstring((tmp_path / "p.svg").read_text()).iter("{http://www.w3.org/2000/svg}text")]
    assert set(NAMES) <= set(texts)
    assert {"slower (1)", "no difference (11)", "order reversed beyond noise"} <= set(texts)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("a.json", "else.json"), "no operator in common"),
        (("a.json", "tool.json"), "statistic is 'p25_quiet' in A and 'tool_mean' in B"),
        (("a.json", "b.csv", "--out", "p.gif"), "a picture is written as"),
        (("a.json", "b.csv", "--device-a", "phone"), "the table has no entry of phone"),
        (("a.json", "nothing.json"), "nothing.json"),
    ],
)
def test_what_cant_be_compared_is_bad_input(lutfarm: Callable, args: tuple[str, ...], said: str) -> None:
    result = lutfarm("lut", "diff", *args)
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stdout == ""
