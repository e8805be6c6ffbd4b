"""Operators: keys that read and invert, shapes, and graphs that are what the operator says."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_jobs import operators, spaces
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.graphs.graph import Activation
from lutfarm_jobs.operators import kinds
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.operators.keys import seed_of

EVERY = {operator.key: operator for name in spaces.names() for operator in spaces.load(name).operators()}
size = st.integers(1, 512)
activation = st.sampled_from(get_args(Activation))


@st.composite
def any_operator(draw: st.DrawFn) -> Operator:
    area = (draw(size), draw(size))
    channels, out = draw(size), draw(size)
    kernel, stride = draw(st.sampled_from([1, 2, 3, 5, 7])), draw(st.sampled_from([1, 2]))
    return draw(
        st.sampled_from(
            [
                kinds.Conv(*area, channels, out, kernel, stride, 1, draw(activation)),
                kinds.Conv(*area, channels, channels, kernel, stride, channels, draw(activation)),
                kinds.MBConv(*area, channels, out, 3 * channels, kernel, stride, 1, 1, draw(st.integers(0, 1)), 0, "h_swish"),
                kinds.MBConv(*area, 2 * channels, 2 * channels, 4 * channels, kernel, 1, 2, 1, 0, 1, "relu6"),
                kinds.MBConv(*area, channels, out, channels, kernel, stride, 1, 0, 0, 0, "relu"),
                kinds.Skip(*area, channels, out, stride),
                kinds.Identity(*area, channels),
                kinds.Nothing(*area, channels),
                kinds.ReluConvBN(*area, channels, out, kernel, stride),
                kinds.Reduction(*area, channels, out),
                kinds.AvgPool(*area, channels, kernel, stride),
                kinds.MaxPool(*area, channels, kernel, stride),
                kinds.GlobalAvgPool(*area, channels),
                kinds.BNAct(*area, channels, draw(activation)),
                kinds.Act(*area, channels, draw(activation.filter(lambda name: name != "none"))),
                kinds.Add(*area, channels),
                kinds.FullyConnected(1, 1, channels, out, draw(activation)),
            ]
        )
    )


@given(any_operator())
def test_a_key_says_all_and_inverts(operator: Operator) -> None:
    assert operators.parse(operator.key) == operator
    assert not set(operator.key) & set("/: \t\n")


def test_every_published_operator_has_a_key_that_inverts() -> None:
    assert len(EVERY) > 2500
    assert {key: operators.parse(key) for key in EVERY} == EVERY


def test_an_activation_that_is_none_is_no_operator() -> None:
    with pytest.raises(SpecError, match="is nothing"):
        operators.parse("act_H8_W8_C8_none")


def test_a_key_is_readable() -> None:
    block = kinds.MBConv(56, 56, 24, 32, 144, 5, 2, 2, 1, 0, 0, "relu")
    assert block.key == "mbconv_H56_W56_Cin24_Cout32_mid144_k5_s2_g2_x1_se0_res0_relu"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "no operator's key"),
        ("convolution_H1", "begins with none of"),
        ("conv_H14_W14_Cin8_Cout8_k1_s1_g1", "is needed"),
        ("conv_H14_W14_Cin8_Cout8_k1_s1_g1_gelu", "activation is one of"),
        ("conv_H014_W14_Cin8_Cout8_k1_s1_g1_relu", "should be H and a number from 1 to 65536, without leading zeros"),
        ("conv_H0_W14_Cin8_Cout8_k1_s1_g1_relu", "height is a whole number from 1"),
        ("conv_H99999_W14_Cin8_Cout8_k1_s1_g1_relu", "height is a whole number from 1"),
        ("conv_H99999999_W14_Cin8_Cout8_k1_s1_g1_relu", "'H99999999' should be H and a number from 1 to 65536"),
        ("mbconv_H8_W8_Cin8_Cout8_mid8_k3_s1_g1_x1_se0_resx_relu", "should be res and a number from 0 to 1"),
        ("conv_H-4_W14_Cin8_Cout8_k1_s1_g1_relu", "should be H and a number from 1 to 65536, without leading zeros"),
        ("conv_H١٤_W14_Cin8_Cout8_k1_s1_g1_relu", "should be H and a number from 1 to 65536, without leading zeros"),
        ("conv_H14_W14_Cin8_Cout9_k1_s1_g2_relu", "groups 2 must divide"),
        ("mbconv_H8_W8_Cin8_Cout16_mid8_k3_s1_g1_x1_se0_res1_relu", "a residual needs"),
        ("mbconv_H8_W8_Cin8_Cout8_mid16_k3_s1_g1_x0_se0_res1_relu", "without an expansion"),
        ("mbconv_H8_W8_Cin8_Cout8_mid16_k3_s1_g1_x2_se0_res1_relu", "expands is a whole number from 0 to 1"),
        ("fc_H2_W1_Cin8_Cout8_none", "height and width are 1"),
        ("conv_" + "H1_" * 10_000, "too long"),
    ],
)
def test_what_is_no_key_is_refused_and_said(key: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        operators.parse(key)
    assert said in caught.value.detail
    assert len(caught.value.detail) < 500


@given(st.text(max_size=60) | st.from_regex(r"(conv|mbconv|gap)_[HWCkse0-9_]{0,60}", fullmatch=True))
def test_any_text_is_an_operator_or_a_spec_error(text: str) -> None:
    try:
        assert operators.parse(text).key == text
    except SpecError as error:
        assert error.detail


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"height": 8}, "width is missing"),
        ({"height": 8, "width": 8, "channels": 8, "depth": 1}, "unknown field 'depth'"),
        ({"height": True, "width": 8, "channels": 8}, "height is a whole number"),
        ({"height": 8.0, "width": 8, "channels": 8}, "height is a whole number"),
    ],
)
def test_fields_from_a_file_are_checked(values: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        operators.make("gap", values)


@given(any_operator())
def test_a_graph_begins_with_the_operators_input_and_is_nothing_only_where_it_says_so(operator: Operator) -> None:
    graph = operators.graph_of(operator)
    assert graph.input_shape == operator.input_shape
    if isinstance(operator, kinds.Nothing):
        assert [node.kind for node in graph.nodes] == ["zero"]
    else:
        assert (not graph.nodes) == operator.is_nothing
    if graph.nodes:
        graph.check_writable()


def test_the_seed_of_a_name_is_the_same_for_ever() -> None:
    """The first four bytes of its SHA-256: weights, and with them all that was measured, hang on it."""
    assert seed_of("abc") == 0xBA7816BF
    assert operators.graph_of(kinds.Add(8, 8, 16)).seed == seed_of(kinds.Add(8, 8, 16).key)


def test_the_seed_follows_from_the_key_alone() -> None:
    one, two = (operators.graph_of(kinds.Add(8, 8, width)) for width in (16, 32))
    assert one.seed == operators.graph_of(kinds.Add(8, 8, 16)).seed
    assert one.seed != two.seed


@pytest.mark.parametrize(
    ("operator", "macs", "layers"),
    [
        (kinds.Conv(224, 224, 3, 16, 3, 2, 1, "relu"), 112 * 112 * 27 * 16, ["convolution"]),
        (kinds.Conv(14, 14, 64, 64, 5, 1, 64, "relu"), 14 * 14 * 25 * 64, ["convolution"]),
        (
            kinds.MBConv(28, 28, 32, 32, 96, 3, 1, 2, 1, 0, 1, "relu"),
            28 * 28 * (32 * 96 // 2 + 9 * 96 + 96 * 32 // 2),
            ["convolution", "channel_shuffle", "convolution", "convolution", "add"],
        ),
        (
            kinds.MBConv(28, 28, 32, 64, 96, 3, 2, 1, 1, 1, 0, "h_swish"),
            28 * 28 * 32 * 96 + 14 * 14 * (9 * 96 + 96 * 64) + 2 * 96 * 24,
            ["convolution", "convolution", "global_average_pool", "convolution", "convolution", "multiply", "convolution"],
        ),
        (kinds.Skip(28, 28, 32, 64, 2), 14 * 14 * 32 * 64, ["convolution"]),
        (kinds.ReluConvBN(32, 32, 16, 16, 3, 1), 32 * 32 * 9 * 256, ["activation", "convolution"]),
        (kinds.FullyConnected(1, 1, 1984, 1000, "none"), 1_984_000, ["fully_connected"]),
        (kinds.Identity(8, 8, 16), 0, []),
    ],
)
def test_what_an_operator_computes(operator: Operator, macs: int, layers: list[str]) -> None:
    assert operator.multiply_accumulates == macs
    assert [node.kind for node in operators.graph_of(operator).nodes] == layers


@pytest.mark.parametrize(("value", "rounded"), [(18, 24), (24, 24), (12, 16), (4, 8), (36, 40), (60, 64), (27, 32)])
def test_squeezed_channels_follow_mobilenets_rule(value: int, rounded: int) -> None:
    assert kinds.divisible(value, 8) == rounded
