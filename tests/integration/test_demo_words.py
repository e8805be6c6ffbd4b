"""What the demonstration prints of its table."""

from __future__ import annotations

import pytest
from tests.lut_kit import entry, manifest

from lutfarm.cli.demo import _show
from lutfarm.lut import LatencyTable
from lutfarm.lut.schema.validation_record import Refusal, Uncalibrated

PLACE = ("desk", "onnxruntime-cpu-t1-fp32")


def test_why_a_place_is_not_calibrated_or_not_validated_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    why = Uncalibrated(*PLACE, "tiny", "0 of its networks are good enough")
    refused = Refusal(*PLACE, "tiny", "all of them failed")
    _show(LatencyTable.of([entry("x")], manifest(uncalibrated=(why,), refusals=(refused,))))
    said = capsys.readouterr().err
    assert said.count("not calibrated for tiny") == 1
    assert said.count("not validated against networks of tiny") == 1


def test_a_place_that_no_network_was_measured_for_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    _show(LatencyTable.of([entry("x")], manifest()))
    assert "never validated against whole networks" in capsys.readouterr().err
