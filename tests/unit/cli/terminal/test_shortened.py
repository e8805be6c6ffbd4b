"""Names in a column that is too narrow for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lutfarm.cli.terminal.shortened import GAP, shortened

BLOCKS = [
    f"mbconv_H{h}_W{h}_Cin{c}_Cout{2 * c}_mid{6 * c}_k{k}_s1_g1_x1_se0_res0_relu" for h, c in ((8, 64), (14, 32)) for k in (3, 5)
]
NAMES = st.lists(
    st.lists(st.sampled_from(["conv", "k3", "k5", "H8", "relu", GAP]), min_size=1, max_size=7).map("_".join), unique=True
)


def test_what_fits_stays_as_it_is() -> None:
    assert shortened(BLOCKS, 80) == {name: name for name in BLOCKS}


def test_names_lose_their_middle_and_what_is_the_same_in_all_of_them_first() -> None:
    found = shortened(BLOCKS, 51)
    assert found[BLOCKS[0]] == f"mbconv_H8_W8_Cin64_Cout128_mid384_k3{GAP}se0_res0_relu"


def test_what_tells_two_names_apart_stays_however_narrow_the_column() -> None:
    found = shortened(BLOCKS, 4)
    assert found[BLOCKS[0]] == f"mbconv_H8{GAP}k3{GAP}relu"
    assert sorted(found.values()) == sorted(set(found.values()))


@pytest.mark.parametrize("width", [1, 8, 16, 24])
@given(names=NAMES)
def test_no_two_names_become_one_and_their_ends_stay(width: int, names: list[str]) -> None:
    found = shortened(names, width)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    for name, short in found.items():
        assert cell_len(short) <= cell_len(name)
        if len(name.split("_")) > 1:
            assert short.startswith(name.split("_")[0])
            assert short.endswith(name.split("_")[-1])


@given(names=st.lists(st.text(max_size=12), unique=True))
def test_any_text_is_a_name(names: list[str]) -> None:
    assert len(set(shortened(names, 3).values())) == len(names)
