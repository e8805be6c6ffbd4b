"""Which inputs of a model decide what it computes: values followed through every kind of graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from lutfarm_jobs.feeds.analysis import UNKNOWN, Analysis, analysis_of
from lutfarm_jobs.models.onnx.reader import read_onnx

F, INT, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
node, value = helper.make_node, helper.make_tensor_value_info


def constant(name: str, *numbers: float, kind: Any = np.int64) -> TensorProto:
    return numpy_helper.from_array(np.array(numbers, kind), name)


def scalar(name: str, number: float, kind: Any = np.int64) -> TensorProto:
    return numpy_helper.from_array(np.array(number, kind), name)


X, N, K = value("x", F, [4, 8]), value("n", INT, [1]), value("k", INT, [])
TWO, AXIS = constant("two", 2, 4), constant("axis", 0)


def analysed(
    nodes: Sequence[Any],
    inputs: Sequence[Any] = (X, N),
    constants: Sequence[Any] = (TWO, AXIS),
    *,
    outputs: Sequence[str] = ("y",),
    functions: Sequence[Any] = (),
) -> Analysis:
    graph = helper.make_graph(list(nodes), "g", list(inputs), [value(name, F, None) for name in outputs], list(constants))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=list(functions))
    content = memoryview(model.SerializeToString())
    return analysis_of(content, "onnx", read_onnx(content))


def body(nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], constants: Sequence[Any] = ()) -> Any:
    return helper.make_graph(list(nodes), "inner", list(inputs), list(outputs), list(constants))


THROUGH = [node("Cast", ["n"], ["n32"], to=TensorProto.INT32), node("Cast", ["n32"], ["m"], to=INT)]


@pytest.mark.parametrize(
    ("kind", "nodes"),
    [
        ("Reshape", [node("Concat", ["n", "axis"], ["s"], axis=0), node("Reshape", ["x", "s"], ["y"])]),
        ("Reshape", [*THROUGH, node("Mul", ["m", "two"], ["s"]), node("Reshape", ["x", "s"], ["y"])]),
        ("Expand", [node("Expand", ["x", "n"], ["y"])]),
        ("Tile", [node("Concat", ["n", "n"], ["s"], axis=0), node("Tile", ["x", "s"], ["y"])]),
        ("Range", [node("Squeeze", ["n"], ["s"]), node("Range", ["s", "s", "s"], ["y"])]),
        ("ConstantOfShape", [node("ConstantOfShape", ["n"], ["y"])]),
        ("Slice", [node("Slice", ["x", "axis", "n"], ["y"])]),
        ("Pad", [node("Pad", ["x", "n"], ["y"])]),
        ("TopK", [node("TopK", ["x", "n"], ["y", "i"])]),
        ("Trilu", [node("Trilu", ["x", "n"], ["y"])]),
        ("OneHot", [node("OneHot", ["axis", "n", "two"], ["y"])]),
        ("Split", [node("Split", ["x", "n"], ["y", "z"])]),
        ("Resize", [node("Resize", ["x", "", "", "n"], ["y"])]),
        ("Unsqueeze", [node("Unsqueeze", ["x", "n"], ["y"])]),
        ("ReduceSum", [node("ReduceSum", ["x", "n"], ["y"])]),
        ("CumSum", [node("CumSum", ["x", "n"], ["y"])]),
        ("LSTM", [node("LSTM", ["x", "w", "r", "", "n"], ["y"], hidden_size=1)]),
        ("GRU", [node("GRU", ["x", "w", "r", "", "n"], ["y"], hidden_size=1)]),
        ("Compress", [node("Cast", ["n"], ["c"], to=B), node("Compress", ["x", "c"], ["y"])]),
        ("NonZero", [node("Where", ["n", "two", "axis"], ["w"]), node("NonZero", ["w"], ["y"])]),
        ("SequenceAt", [node("SequenceConstruct", ["x"], ["q"]), node("SequenceAt", ["q", "n"], ["y"])]),
    ],
)
def test_an_input_that_reaches_a_size_an_axis_or_a_length_decides(kind: str, nodes: Sequence[Any]) -> None:
    found = analysed(nodes)
    assert found.decided == {"n": (kind,)}
    assert found.computes


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Gather", ["x", "n"], ["y"])],
        [node("Where", ["n", "x", "x"], ["y"])],
        [node("Cast", ["n"], ["f"], to=F), node("Mul", ["x", "f"], ["y"])],
        [node("ScatterND", ["x", "n", "x"], ["y"])],
        [node("Gather", ["x", "n"], ["e"]), node("Shape", ["e"], ["s"]), node("Reshape", ["x", "s"], ["y"])],
        [node("Shape", ["x"], ["s"]), node("Mul", ["s", "two"], ["t"]), node("Expand", ["x", "t"], ["y"])],
        [node("Reshape", ["x", "two"], ["y"]), node("TopK", ["x", "axis"], ["z", "i"])],
    ],
)
def test_an_input_of_which_only_results_are_made_does_not(nodes: Sequence[Any]) -> None:
    assert analysed(nodes).decided == {}


@pytest.mark.parametrize(
    ("kind", "nodes"),
    [
        ("NonMaxSuppression", [node("NonMaxSuppression", ["x", "x", "axis"], ["y"])]),
        ("NonZero", [node("Relu", ["x"], ["r"]), node("NonZero", ["r"], ["y"])]),
        ("Compress", [node("Greater", ["x", "two"], ["c"]), node("Compress", ["x", "c"], ["y"])]),
        ("Unique", [node("Unique", ["x"], ["y"])]),
        (
            "Loop",
            [
                node("Cast", ["x"], ["t"], to=INT),
                node("Loop", ["t", ""], ["y"], body=body([], [value("i", INT, []), value("c", B, [])], [value("c", B, [])])),
            ],
        ),
    ],
)
def test_data_that_decide_how_much_is_left_decide(kind: str, nodes: Sequence[Any]) -> None:
    assert analysed(nodes).decided == {"x": (kind,)}


ITER, COND, CARRIED = value("i", INT, []), value("c", B, []), value("v", F, [4, 8])


def loop(nodes: Sequence[Any], condition: str, *inputs: str, constants: Sequence[Any] = ()) -> Any:
    inner = body(nodes, [ITER, COND, CARRIED], [value(condition, B, []), value("w", F, [4, 8])], constants)
    return node("Loop", list(inputs), ["y"], body=inner)


@pytest.mark.parametrize(
    ("inner", "decided"),
    [
        (loop([node("Relu", ["v"], ["w"])], "c", "k", "", "x"), {"k": ("Loop",)}),
        (loop([node("Relu", ["v"], ["w"])], "c", "", "k", "x"), {"k": ("Loop",)}),
        (loop([node("Relu", ["v"], ["w"])], "c", "trips", "", "x"), {}),
        # the condition is made in the body: of what is carried, of the count, of what lies outside
        (
            loop(
                [node("Relu", ["v"], ["w"]), node("ReduceMax", ["v"], ["m"]), node("Greater", ["m", "m"], ["go"])],
                "go",
                "trips",
                "",
                "x",
            ),
            {"x": ("Loop",)},
        ),
        (loop([node("Relu", ["v"], ["w"]), node("Less", ["i", "k"], ["go"])], "go", "trips", "", "x"), {"k": ("Loop",)}),
        (loop([node("Relu", ["v"], ["w"]), node("Less", ["i", "trips"], ["go"])], "go", "trips", "", "x"), {}),
        # only in the second turn does the outer value get to what is carried, and by it to a size
        (loop([node("Expand", ["v", "k"], ["w"])], "c", "trips", "", "x"), {"k": ("Expand",)}),
        (
            loop(
                [node("Cast", ["v"], ["s"], to=INT), node("Expand", ["x", "s"], ["e"]), node("Add", ["e", "k"], ["w"])],
                "c",
                "trips",
                "",
                "start",
            ),
            {"x": ("Expand",), "k": ("Expand",)},
        ),
    ],
)
def test_loops_are_followed_round_and_from_outside(inner: Any, decided: dict[str, tuple[str, ...]]) -> None:
    constants = [scalar("trips", 3), constant("start", 1.0, kind=np.float32)]
    assert analysed([inner], (X, K), constants).decided == decided


def test_branches_and_what_they_take_from_outside() -> None:
    reshaped = body([node("Reshape", ["x", "n"], ["a"])], [], [value("a", F, None)])
    plain = body([node("Relu", ["x"], ["b"])], [], [value("b", F, None)])
    chosen = node("If", ["k"], ["y"], then_branch=reshaped, else_branch=plain)
    assert analysed([chosen], (X, N, K)).decided == {"n": ("Reshape",), "k": ("If",)}
    # what comes out of a branch goes on
    sized = body([node("Identity", ["n"], ["a"])], [], [value("a", INT, None)])
    other = body([node("Identity", ["two"], ["b"])], [], [value("b", INT, None)])
    chosen = node("If", ["flag"], ["s"], then_branch=sized, else_branch=other)
    found = analysed([chosen, node("Reshape", ["x", "s"], ["y"])], constants=(TWO, scalar("flag", 1, np.bool_)))
    assert found.decided == {"n": ("Reshape",)}


def test_a_scan_passes_states_round_and_elements_through() -> None:
    inner = body(
        [node("Add", ["state", "element"], ["next"]), node("Identity", ["next"], ["out"])],
        [value("state", INT, [1]), value("element", INT, [1])],
        [value("next", INT, [1]), value("out", INT, [1])],
    )
    scan = node("Scan", ["axis", "n"], ["last", "all"], body=inner, num_scan_inputs=1)
    assert analysed([scan, node("Reshape", ["x", "last"], ["y"])]).decided == {"n": ("Reshape",)}
    assert analysed([scan, node("Relu", ["x"], ["y"])]).decided == {}


def test_functions_of_the_model_are_looked_into_at_every_call() -> None:
    inner = helper.make_function(
        "own", "Resized", ["data", "size"], ["out"], [node("Reshape", ["data", "size"], ["out"])], [helper.make_opsetid("", 18)]
    )
    outer = helper.make_function(
        "own",
        "Twice",
        ["data", "size"],
        ["out"],
        [node("Resized", ["data", "size"], ["once"], domain="own"), node("Resized", ["once", "size"], ["out"], domain="own")],
        [helper.make_opsetid("own", 1)],
    )
    called = node("Twice", ["x", "n"], ["y"], domain="own")
    assert analysed([called], functions=[inner, outer]).decided == {"n": ("Reshape",)}
    called = node("Twice", ["x", "two"], ["y"], domain="own")
    assert analysed([called], functions=[inner, outer]).decided == {}


def test_of_two_functions_of_one_name_the_one_that_is_called_is_looked_into() -> None:
    opsets = [helper.make_opsetid("", 18)]
    sizes, plain = node("Reshape", ["a", "b"], ["c"]), node("Relu", ["a"], ["c"])
    functions = [
        helper.make_function("own", "f", ["a", "b"], ["c"], [body_], opsets, overload=name)
        for name, body_ in (("sizes", sizes), ("", plain))
    ]
    call = node("f", ["x", "n"], ["y"], domain="own")
    assert analysed([call], functions=functions).decided == {}
    call.overload = "sizes"
    assert analysed([call], functions=functions).decided == {"n": ("Reshape",)}


def test_functions_that_call_themselves_end_in_doubt() -> None:
    mad = helper.make_function(
        "own", "Mad", ["a"], ["b"], [node("Mad", ["a"], ["b"], domain="own")] * 2, [helper.make_opsetid("own", 1)]
    )
    assert analysed([node("Mad", ["x"], ["y"], domain="own")], functions=[mad]).decided == {"x": (UNKNOWN,), "n": (UNKNOWN,)}


def test_nodes_in_any_order_say_the_same() -> None:
    nodes = [node("Reshape", ["x", "s"], ["y"]), node("Mul", ["m", "two"], ["s"]), *reversed(THROUGH)]
    assert analysed(nodes).decided == {"n": ("Reshape",)}


def test_a_sequence_is_made_up_in_its_length_too() -> None:
    row = helper.make_value_info("q", helper.make_sequence_type_proto(helper.make_tensor_type_proto(F, [2])))
    assert analysed([node("ConcatFromSequence", ["q"], ["y"], axis=0)], (row,)).decided == {"q": ("sequence(float32)",)}


OPEN = value("x", F, ["n", 8])


@pytest.mark.parametrize(
    ("nodes", "inputs", "rows"),
    [
        ([node("GatherElements", ["x", "n"], ["y"], axis=1)], (X, N), {(8,)}),
        ([node("GatherElements", ["x", "n"], ["y"], axis=-2)], (OPEN, N), {(("x", -2),)}),
        ([node("ScatterElements", ["x", "n", "u"], ["y"])], (X, N), {(4,)}),
        ([node("GatherND", ["x", "n"], ["y"])], (X, N), {(4, 8)}),
        ([node("ScatterND", ["x", "n", "u"], ["y"])], (value("x", F, None), N), {()}),
        ([node("NegativeLogLikelihoodLoss", ["x", "n"], ["y"])], (X, N), {(8,)}),
        ([node("SoftmaxCrossEntropyLoss", ["x", "n"], ["y"])], (X, N), {(8,)}),
        ([node("RoiAlign", ["x", "r", "n"], ["y"])], (X, N), {(4,)}),
        ([node("ArrayFeatureExtractor", ["x", "n"], ["y"], domain="ai.onnx.ml")], (X, N), {(8,)}),
        ([node("GatherBlockQuantized", ["x", "n", "s"], ["y"], domain="com.microsoft", gather_axis=1)], (X, N), {(8,)}),
        ([node("RotaryEmbedding", ["q", "x", "x", "n"], ["y"])], (X, N), {(4,)}),
        ([node("RotaryEmbedding", ["q", "n", "x", "x"], ["y"], domain="com.microsoft")], (X, N), {(4,)}),
        # a negative index counts from the end: the exporter's own way to say so
        (
            [
                node("Less", ["n", "axis"], ["l"]),
                node("Add", ["n", "axis"], ["a"]),
                node("Where", ["l", "a", "n"], ["i"]),
                node("Gather", ["x", "i"], ["y"]),
            ],
            (X, N),
            {(), (4,)},
        ),
        ([node("Min", ["axis", "n"], ["i"]), node("Gather", ["x", "i"], ["y"], axis=1)], (X, N), {(8,)}),
    ],
)
def test_what_indices_point_into_is_found(nodes: Sequence[Any], inputs: Sequence[Any], rows: set[tuple[Any, ...]]) -> None:
    assert {role.rows for role in analysed(nodes, inputs).roles["n"]} == rows


@pytest.mark.parametrize(
    ("nodes", "inputs", "computes"),
    [
        ([node("MatMul", ["two", "two"], ["y"])], (), False),
        ([node("MatMul", ["two", "two"], ["y"])], (X,), False),
        ([node("Identity", ["x"], ["y"])], (X,), False),
        ([node("Dropout", ["x"], ["d"]), node("Identity", ["d"], ["y"])], (X,), False),
        ([node("Shape", ["x"], ["s"]), node("Mul", ["s", "two"], ["y"])], (X,), False),
        ([node("Shape", ["x"], ["s"]), node("Mul", ["s", "two"], ["y"])], (value("x", F, ["n", 8]),), True),
        ([node("ConstantOfShape", ["two"], ["y"]), node("Relu", ["x"], ["unused"])], (X,), False),
        ([node("Relu", ["x"], ["y"])], (X,), True),
        ([node("RandomNormal", [], ["y"], shape=[2])], (), True),
        ([node("RandomNormalLike", ["x"], ["r"]), node("Identity", ["r"], ["y"])], (X,), True),
        (
            [
                node(
                    "If",
                    ["k"],
                    ["y"],
                    then_branch=body([], [], [value("a", F, None)], [constant("a", 1.0, kind=np.float32)]),
                    else_branch=body([], [], [value("b", F, None)], [constant("b", 2.0, kind=np.float32)]),
                )
            ],
            (K,),
            True,
        ),
    ],
)
def test_whether_anything_is_computed(nodes: Sequence[Any], inputs: Sequence[Any], computes: bool) -> None:
    assert analysed(nodes, inputs).computes == computes
