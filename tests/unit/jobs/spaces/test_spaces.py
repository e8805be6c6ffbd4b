"""Search spaces: the published counts, encodings that invert, and what a network consists of."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_jobs import spaces
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.operators import kinds
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.spaces import lut_keys, nas_bench_201
from lutfarm_jobs.spaces.file import space_of

SOME = [
    "fbnet-224",
    "fbnet-32",
    "nas-bench-201-cifar10",
    "nas-bench-201-cifar100",
    "nas-bench-201-imagenet16-120",
    "proxylessnas-224",
    "ofa-mbv3-w1.0-224",
    "ofa-mbv3-w1.2-128",
    "ofa-mbv3-w1.2-132",
    "ofa-mbv3-w1.2-224",
]
NB201 = [name for name in SOME if name.startswith("nas")]


def unique(*names: str) -> set[Operator]:
    return {operator for name in names for operator in spaces.load(name).operators()}


def test_the_counts_of_fbnet() -> None:
    assert len(unique("fbnet-224")) == len(unique("fbnet-32")) == 112
    assert len(unique("fbnet-224", "fbnet-32")) == 224
    assert sum(not operator.is_nothing for operator in unique("fbnet-224")) == 106
    space = spaces.load("fbnet-224")
    assert len(space.layers) == 22
    assert {len(layer.choices) for layer in space.layers} == {9}


def test_the_counts_of_nas_bench_201() -> None:
    assert [len(unique(name)) for name in NB201] == [21, 21, 21]
    assert len(unique(*NB201[:2])) == 22
    assert len(unique(*NB201)) == 43
    assert sum(not operator.is_nothing for operator in unique(*NB201)) == 31
    assert len(spaces.load(NB201[0]).extras()) == 3


def test_the_counts_of_proxylessnas() -> None:
    assert len(unique("proxylessnas-224")) == 70
    assert len(spaces.load("proxylessnas-224").layers) == 21


@pytest.mark.parametrize("width", ["w1.0", "w1.2"])
def test_the_counts_of_ofa(width: str) -> None:
    def blocks(sizes: range | tuple[int, ...]) -> int:
        fixed_first = {spaces.load(f"ofa-mbv3-{width}-{size}").operators()[1] for size in sizes}
        every = unique(*(f"ofa-mbv3-{width}-{size}" for size in sizes))
        return len({op for op in every if isinstance(op, kinds.MBConv)} - fixed_first)

    assert len(unique(f"ofa-mbv3-{width}-224")) == 96
    assert blocks((160, 176, 192, 208, 224)) == 432
    assert blocks(range(128, 225, 4)) == 1197


@pytest.mark.parametrize("name", SOME)
def test_architectures_are_drawn_by_seed_and_their_text_inverts(name: str) -> None:
    space = spaces.load(name)
    drawn = space.random(7, 20)
    assert drawn == space.random(7, 20)
    assert drawn != space.random(8, 20)
    for arch in drawn:
        assert len(arch) == len(space.layers)
        assert space.parse(space.format(arch)) == arch


@pytest.mark.parametrize("name", SOME)
def test_a_network_is_made_of_what_its_composition_says(name: str) -> None:
    space = spaces.load(name)
    for arch in space.random(0, 3):
        graph = space.network(arch)
        graph.check_writable()
        assert graph.outputs[0].shape[2:] == (1, 1)
        parts = space.composition(arch)
        macs = sum(
            op.multiply_accumulates * count
            for op, count in parts.items()
            if not isinstance(op, kinds.Add | kinds.Pool | kinds.GlobalAvgPool | kinds.BNAct)
        )
        convolved = sum(_macs(graph, node) for node in graph.nodes if node.kind in ("convolution", "fully_connected"))
        assert macs == convolved


def _macs(graph: object, node: object) -> int:
    _, channels, height, width = node.output.shape  # type: ignore[attr-defined]
    source = node.sources[0].shape[1]  # type: ignore[attr-defined]
    return height * width * channels * source * node.kernel**2 // node.groups  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [name for name in SOME if name not in NB201])
def test_an_additive_space_is_the_sum_of_its_fixed_parts_and_its_choices(name: str) -> None:
    space = spaces.load(name)
    assert space.additive
    for arch in space.random(1, 5):
        expected: Counter[Operator] = Counter(dict(space.fixed))
        for layer, index in zip(space.layers, arch, strict=True):
            expected.update(dict(layer.choices[index].parts))
        assert space.composition(arch) == expected


@pytest.mark.parametrize("name", SOME)
def test_every_part_of_a_network_is_an_operator_of_the_space(name: str) -> None:
    space = spaces.load(name)
    known = {*space.operators(), *space.extras()}
    for arch in space.random(2, 5):
        assert all(op in known or op.is_nothing for op in space.composition(arch))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("fbnet-224", "0,1,2", "has 22 layers, this one 3"),
        ("fbnet-224", ",".join(["9"] * 22), "stage1.0 has no choice '9'"),
        ("fbnet-224", ",".join(["-1"] * 22), "has no choice '-1'"),
        ("fbnet-224", "[1, 2", "is no list"),
        ("fbnet-224", "[" * 5000, "is no list"),
        ("fbnet-224", "0," * 100_000, "too long"),
        ("nas-bench-201-cifar10", "|none~0|", "is no architecture"),
        ("nas-bench-201-cifar10", "|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|", "unknown operation 'conv'"),
        ("nas-bench-201-cifar10", "|none~1|+|none~0|none~1|+|none~0|none~1|none~2|", "is no architecture"),
        ("ofa-mbv3-w1.2-224", '{"ks": [3]}', "is needed"),
        ("ofa-mbv3-w1.2-224", json.dumps({"ks": [3] * 20, "e": [4] * 20, "d": [5] * 5}), "is none of 2, 3, 4"),
        ("ofa-mbv3-w1.2-224", ",".join(["k3_e3", "k3_e3", "absent", "k3_e3"] * 5), "stage1.3 must be absent"),
    ],
)
def test_what_is_no_architecture_is_refused_and_said(name: str, text: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        spaces.load(name).parse(text)
    assert said in caught.value.detail


def test_an_index_list_may_be_json() -> None:
    space = spaces.load("fbnet-224")
    assert space.parse(json.dumps([3] * 22)) == (3,) * 22


def test_ofas_dictionary_and_names_mean_the_same() -> None:
    space = spaces.load("ofa-mbv3-w1.2-224")
    arch = space.parse(json.dumps({"ks": [3, 5, 7, 3] * 5, "e": [3, 4, 6, 3] * 5, "d": [2, 3, 4, 2, 3]}))
    names = ["k3_e3,k5_e4,absent,absent", "k3_e3,k5_e4,k7_e6,absent", "k3_e3,k5_e4,k7_e6,k3_e3"]
    assert space.format(arch) == ",".join([*names, *names[:2]])


def test_an_unknown_space_lists_the_known() -> None:
    with pytest.raises(SpecError, match="fbnet-224"):
        spaces.load("fbnet-225")


EDGE = {name: index for index, name in enumerate(nas_bench_201.OPERATIONS)}
NONE, SKIP, CONV = EDGE["none"], EDGE["skip_connect"], EDGE["nor_conv_3x3"]


@pytest.mark.parametrize(
    ("arch", "convolutions", "additions"),
    [
        ((CONV, CONV, CONV, CONV, CONV, CONV), 6, 3),  # everything counts; nodes 2 and 3 add
        ((CONV, NONE, NONE, NONE, NONE, NONE), 0, 1),  # node 1 leads nowhere: zeros, priced as an addition
        ((NONE, NONE, CONV, CONV, CONV, NONE), 1, 0),  # node 1 is not reached
        ((CONV, NONE, NONE, NONE, CONV, CONV), 2, 0),  # node 2 is not reached: one way, no addition
        ((SKIP, NONE, NONE, SKIP, SKIP, NONE), 0, 1),  # two ways of nothing still add up
        ((NONE, NONE, NONE, NONE, NONE, NONE), 0, 1),
    ],
)
def test_nas_bench_201_prunes_what_nothing_reaches_and_prices_additions(
    arch: tuple[int, ...], convolutions: int, additions: int
) -> None:
    space = spaces.load("nas-bench-201-cifar10")
    parts = space.composition(arch)
    assert sum(n for op, n in parts.items() if isinstance(op, kinds.ReluConvBN)) == convolutions * 15
    assert sum(n for op, n in parts.items() if isinstance(op, kinds.Add)) == additions * 15
    nodes = Counter(node.kind for node in space.network(arch).nodes)
    assert nodes["add"] + nodes["zero"] == additions * 15 + 2  # and one in each reduction
    assert nodes["zero"] == (15 if not nas_bench_201.live_edges(arch) else 0)


@given(st.tuples(*[st.integers(0, 4)] * 6))
def test_pruning_never_leaves_a_dead_end(arch: tuple[int, ...]) -> None:
    live = nas_bench_201.live_edges(arch)
    for source, target in live:
        assert source == 0 or any(end == source for _, end in live)
        assert target == 3 or any(start == target for start, _ in live)


def test_published_names() -> None:
    fbnet = spaces.load("fbnet-224").operators()
    names = [lut_keys.hw_nas_bench_key(operator) for operator in fbnet]
    assert len(set(names)) == 112
    assert names[0] == "ConvNorm_H224_W224_Cin3_Cout16_kernel3_stride2_group1"
    assert "ConvBlock_H56_W56_Cin24_Cout24_exp6_kernel5_stride1_group1" in names
    proxyless = [lut_keys.proxylessnas_key(operator) for operator in spaces.load("proxylessnas-224").operators()]
    assert len(set(proxyless)) == 70
    assert "expanded_conv-input:112x112x16-output:56x56x24-expand:6-kernel:5-stride:2-idskip:0" in proxyless
    assert proxyless[-1] == "Logits-input:7x7x1280-output:1000"
    ofa = [lut_keys.ofa_key(operator) for operator in spaces.load("ofa-mbv3-w1.2-224").operators()]
    assert len(set(ofa)) == 96
    assert "expanded_conv-input:112x112x24-output:56x56x32-expand:144-kernel:3-stride:2-idskip:0-se:0-hs:0" in ofa
    with pytest.raises(SpecError, match="no name"):
        lut_keys.ofa_key(kinds.Add(8, 8, 8))


CONV_A, CONV_B = "conv_H8_W8_Cin3_Cout8_k1_s1_g1_relu", "conv_H8_W8_Cin8_Cout8_k3_s2_g1_relu"
CHOICES = [
    {"name": "plain", "operator": "conv_H4_W4_Cin8_Cout8_k1_s1_g1_relu"},
    {"name": "skip", "operator": {"kind": "identity", "height": 4, "width": 4, "channels": 8}},
]
OWN = {"name": "own", "head": [CONV_A, CONV_B], "layers": [{"name": "one", "choices": CHOICES}], "tail": ["gap_H4_W4_C8"]}


def test_a_space_of_ones_own() -> None:
    space = space_of(OWN, source="own.yaml")
    assert space.name.startswith("own-")
    assert space.parse("skip") == (1,)
    assert len(space.network((0,)).nodes) == 4
    assert len(space.network((1,)).nodes) == 3
    other = space_of(OWN | {"tail": []}, source="own.yaml")
    assert other.name != space.name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layers": []}, "layers"),
        ({"layer": []}, "layer: unknown field"),
        ({"head": ["conv_H9"]}, "head[0]"),
        ({"head": [CONV_B]}, "layers[0] (one)"),
        ({"tail": ["gap_H8_W8_C8"]}, "takes 1x8x8x8, but what comes before it gives 1x8x4x4"),
        (
            {
                "layers": [
                    {"name": "one", "choices": [*CHOICES, {"name": "wide", "operator": "conv_H4_W4_Cin8_Cout16_k1_s1_g1_relu"}]}
                ]
            },
            "they must agree",
        ),
        ({"layers": [{"name": "one", "choices": CHOICES}] * 2}, "two layers are named 'one'"),
        ({"layers": [{"name": "one", "choices": CHOICES[:1] * 2}]}, "two choices have the same name"),
        ({"name": "a/b"}, "name"),
        ({"tail": [{"kind": "gap", "height": 4}]}, "tail[0]"),
        ({"tail": [3]}, "tail[0]"),
    ],
)
def test_a_space_file_that_cannot_be_used(changes: dict[str, object], said: str) -> None:
    changed = {**OWN, **changes}
    if changes.get("head") == [CONV_B]:
        changed["layers"] = [{"name": "one", "choices": [{"name": "x", "operator": CONV_A}]}]
    with pytest.raises(SpecError) as caught:
        space_of(changed, source="own.yaml")
    assert caught.value.detail.startswith("own.yaml: ")
    assert said in caught.value.detail
