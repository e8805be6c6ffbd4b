"""The two file formats: what the bytes hold."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import numpy_helper
from tests import models_kit as kit

from lutfarm_jobs.graphs.graph import Graph, Node, Tensor
from lutfarm_jobs.graphs.weights import draw
from lutfarm_jobs.measurement import MODELS_VERSION
from lutfarm_jobs.models.build_model import canary_graph
from lutfarm_jobs.models.onnx.reader import read_onnx
from lutfarm_jobs.models.onnx.writer import write_onnx
from lutfarm_jobs.models.tflite.reader import read_tflite
from lutfarm_jobs.models.tflite.writer import write_tflite

OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


def tflite_model(graph: Graph) -> schema.ModelT:
    return schema.ModelT.InitFromPackedBuf(bytearray(write_tflite(graph)))


def tflite_operators(graph: Graph) -> list[str]:
    model = tflite_model(graph)
    return [OPERATORS[model.operatorCodes[op.opcodeIndex].builtinCode] for op in model.subgraphs[0].operators]


def onnx_operators(graph: Graph) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(write_onnx(graph)).graph.node]


@pytest.mark.parametrize("name", kit.SMALL)
def test_onnx_files_are_valid_and_say_what_they_take(name: str) -> None:
    graph = kit.graph(kit.SMALL[name])
    content = write_onnx(graph)
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    assert [output.name for output in model.graph.output] == ["output"]
    (found,) = read_onnx(memoryview(content))
    assert (found.name, found.shape, found.dtype) == ("input", (1, 8, 9, 9), "float32")


@pytest.mark.parametrize("name", kit.SMALL)
def test_tflite_files_say_what_they_take(name: str) -> None:
    content = write_tflite(kit.graph(kit.SMALL[name]))
    assert content[4:8] == b"TFL3"
    (found,) = read_tflite(memoryview(content))
    assert (found.name, found.shape, found.dtype) == ("input", (1, 9, 9, 8), "float32")


@pytest.mark.parametrize("name", kit.SMALL)
@pytest.mark.parametrize("write", [write_onnx, write_tflite])
def test_the_same_graph_gives_the_same_bytes(name: str, write) -> None:
    assert write(kit.graph(kit.SMALL[name])) == write(kit.graph(kit.SMALL[name]))


def test_bytes_change_only_together_with_the_writer_version() -> None:
    """Caches find models by graph and MODELS_VERSION: after a change that alters the bytes, raise it."""
    digests = tuple(hashlib.sha256(write(canary_graph())).hexdigest()[:16] for write in (write_onnx, write_tflite))
    assert {MODELS_VERSION: digests} == {1: ("4f1eff95efb5adcc", "18ffc89a4d926e4c")}


def test_both_formats_hold_the_same_weights() -> None:
    graph = kit.graph(kit.SMALL["conv3x3_stride2"])
    wanted = draw(graph).weights[0]
    in_onnx = [numpy_helper.to_array(t) for t in onnx.load_from_string(write_onnx(graph)).graph.initializer]
    buffers = [bytes(b.data) for b in tflite_model(graph).buffers if b.data is not None and len(b.data)]
    in_tflite = [np.frombuffer(data, np.float32) for data in buffers]
    np.testing.assert_array_equal(in_onnx[0], wanted.kernel)
    np.testing.assert_array_equal(in_tflite[0].reshape(6, 3, 3, 8).transpose(0, 3, 1, 2), wanted.kernel)
    np.testing.assert_array_equal(in_onnx[1], wanted.bias)
    np.testing.assert_array_equal(in_tflite[1], wanted.bias)


def test_weights_of_tflite_files_are_aligned() -> None:
    graph = kit.graph(kit.SMALL["squeeze_excite"])
    content = write_tflite(graph)
    for weights in draw(graph).weights.values():
        kernel = weights.kernel.transpose(0, 2, 3, 1).tobytes()
        assert content.index(kernel) % 16 == 0
    assert len(content) % 16 == 0


@pytest.mark.parametrize(
    ("name", "in_onnx", "in_tflite"),
    [
        ("conv3x3_stride2", ["Conv", "Relu"], ["CONV_2D"]),
        ("grouped1x1", ["Conv", "Relu"], ["CONV_2D"]),
        ("depthwise3x3", ["Conv", "Clip"], ["DEPTHWISE_CONV_2D"]),
        ("conv3x3_h_swish", ["Conv", "HardSwish"], ["CONV_2D", "HARD_SWISH"]),
        ("conv3x3_h_sigmoid", ["Conv", "HardSigmoid"], ["CONV_2D", "MUL"]),
        ("activation_h_sigmoid", ["HardSigmoid"], ["ADD", "MUL"]),
        ("channel_shuffle", ["Reshape", "Transpose", "Reshape"], ["RESHAPE", "TRANSPOSE", "RESHAPE"]),
        ("scale_shift_relu", ["BatchNormalization", "Relu"], ["MUL", "ADD"]),
        ("average_pool_stride2", ["AveragePool"], ["AVERAGE_POOL_2D"]),
        ("global_average_pool", ["GlobalAveragePool"], ["MEAN"]),
        ("fully_connected_relu", ["GlobalAveragePool", "Flatten", "Gemm", "Relu"], ["MEAN", "FULLY_CONNECTED"]),
        ("add_to_itself", ["Add"], ["ADD"]),
    ],
)
def test_operators_are_those_that_runtimes_fuse(name: str, in_onnx: list[str], in_tflite: list[str]) -> None:
    graph = kit.graph(kit.SMALL[name])
    assert onnx_operators(graph) == in_onnx
    assert tflite_operators(graph) == in_tflite


@pytest.mark.parametrize("name", kit.SMALL)
@pytest.mark.parametrize("size", [8, 9])
def test_no_format_holds_a_pad_operator(name: str, size: int) -> None:
    graph = kit.graph(kit.SMALL[name], size=size)
    assert not any("PAD" in operator.upper() for operator in (*onnx_operators(graph), *tflite_operators(graph)))


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_padding_at_stride_2_is_what_tflite_calls_same(size: int, kernel: int) -> None:
    graph = kit.graph(lambda g: g.convolution(g.input, 6, kernel=kernel, stride=2), size=size)
    attributes = {a.name: list(a.ints) for a in onnx.load_from_string(write_onnx(graph)).graph.node[0].attribute}
    total = (-(-size // 2) - 1) * 2 + kernel - size
    assert attributes["pads"] == [total // 2, total // 2, total - total // 2, total - total // 2]
    (operator,) = tflite_model(graph).subgraphs[0].operators
    assert operator.builtinOptions.padding == schema.Padding.SAME


def test_a_global_pool_keeps_the_dimensions_that_what_follows_it_needs() -> None:
    model = tflite_model(kit.graph(kit.SMALL["squeeze_excite"]))
    subgraph = model.subgraphs[0]
    (mean,) = (op for op in subgraph.operators if OPERATORS[model.operatorCodes[op.opcodeIndex].builtinCode] == "MEAN")
    assert mean.builtinOptions.keepDims
    assert list(subgraph.tensors[mean.outputs[0]].shape) == [1, 1, 1, 8]


def test_operator_codes_stand_also_where_old_runtimes_look() -> None:
    for name in ("conv3x3_h_swish", "channel_shuffle", "global_average_pool"):
        for code in tflite_model(kit.graph(kit.SMALL[name])).operatorCodes:
            assert (code.deprecatedBuiltinCode, code.version) == (code.builtinCode, 1)


@pytest.mark.parametrize("write", [write_onnx, write_tflite])
def test_a_graph_that_is_no_model_is_refused(write) -> None:
    nothing = Graph("nothing", (1, 8, 9, 9))
    with pytest.raises(ValueError, match="nothing: no layer"):
        write(nothing.finish(nothing.input))
    early = Graph("early", (1, 8, 9, 9))
    first = early.convolution(early.input, 8)
    early.convolution(first, 8)
    with pytest.raises(ValueError, match="early: the one output must be the last"):
        write(early.finish(first))


@pytest.mark.parametrize("write", [write_onnx, write_tflite])
def test_an_activation_of_no_kind_is_refused(write) -> None:
    with pytest.raises(ValueError, match="activation of no kind"):
        write(kit.graph(lambda g: g.activation(g.input, "none")))


def test_a_padding_that_tflite_has_no_name_for_is_refused() -> None:
    graph = Graph("padded", (1, 8, 8, 8))
    output = Tensor(0, (1, 8, 4, 4))
    graph.nodes.append(Node("max_pool", (graph.input,), output, kernel=3, stride=2, padding=(1, 1, 1, 1)))
    with pytest.raises(ValueError, match="would need an operator of its own"):
        write_tflite(graph.finish(output))
