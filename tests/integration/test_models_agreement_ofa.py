"""As test_models_agreement.py, for the operators of OFA MobileNetV3 at all its resolutions."""

from __future__ import annotations

import pytest
from tests.agreement_kit import disagreeing, real_operators

from lutfarm_jobs import operators, spaces

OFA = [name for name in spaces.names() if name.startswith("ofa")]


def test_operators_of_ofa_at_every_resolution() -> None:
    """Two or three of each of the 50 spaces, others each time; all of them are the slow test below."""
    chosen = dict.fromkeys(
        operator for position, name in enumerate(OFA) for operator in list(real_operators([name]))[position % 37 :: 37]
    )
    assert len(chosen) > 100
    assert {operator.key.partition("_")[0] for operator in chosen} == {"conv", "mbconv", "gap", "fc"}
    assert disagreeing(operators.graph_of(operator) for operator in chosen) == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("width", ["w1.0", "w1.2"])
def test_every_operator_of_ofa(width: str) -> None:
    """1,197 blocks and what is fixed, at 25 resolutions; 2-4 minutes for each width on a busy pair of cores."""
    chosen = list(real_operators(name for name in OFA if width in name))
    assert len(chosen) > 1_197
    assert disagreeing(operators.graph_of(operator) for operator in chosen) == {}
