"""In what precision an .onnx file computes, read from its operators; see `lutfarm_jobs.precision` for what that means.

Types of tensors between operators are followed from inputs and weights: files need not declare them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lutfarm_jobs.models.bounds import Budget, Malformed
from lutfarm_jobs.models.onnx.protobuf import fields, nested, number, text
from lutfarm_jobs.precision import FLOATS, Operand, Seen

DEEPEST = 32  # graphs and functions within each other
DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
ELEMENTS: Mapping[int, str] = {
    1: "fp32", 2: "int8", 3: "int8", 4: "int16", 5: "int16", 6: "int32", 7: "int64", 10: "fp16", 11: "fp64", 16: "bf16",
    17: "fp8", 18: "fp8", 19: "fp8", 20: "fp8", 21: "int4", 22: "int4", 23: "fp4", 25: "int2", 26: "int2",
}  # fmt: skip
# The operators that do the work, with the inputs that they multiply.
WORKERS: Mapping[str, tuple[int, ...]] = {
    "Conv": (0, 1), "ConvTranspose": (0, 1), "DeformConv": (0, 1), "FusedConv": (0, 1), "NhwcFusedConv": (0, 1),
    "MatMul": (0, 1), "Gemm": (0, 1), "FusedMatMul": (0, 1), "FusedGemm": (0, 1),
    "Einsum": tuple(range(64)), "GemmFloat8": (0, 1),
    "LSTM": (0, 1, 2), "GRU": (0, 1, 2), "RNN": (0, 1, 2), "Attention": (0, 1), "MultiHeadAttention": (0, 1),
    "GroupQueryAttention": (0, 1), "PackedAttention": (0, 1), "SparseAttention": (0, 1), "LongformerAttention": (0, 1),
    "DecoderMaskedMultiHeadAttention": (0, 1), "DecoderMaskedSelfAttention": (0, 1), "MoE": (0, 2),
    "QLinearConv": (0, 3), "QLinearMatMul": (0, 3), "QGemm": (0, 3), "QAttention": (0, 1), "ConvInteger": (0, 1),
    "MatMulInteger": (0, 1), "MatMulIntegerToFloat": (0, 1),
    "DynamicQuantizeMatMul": (1,), "DynamicQuantizeLSTM": (1, 2),       # what comes in is quantised on the way
    "MatMulNBits": (0,), "MatMulBnb4": (0,), "QMoE": (0,),              # their weights are packed: see PACKED
}  # fmt: skip
PACKED: Mapping[str, str] = {"MatMulNBits": "bits", "MatMulBnb4": "", "QMoE": "expert_weight_bits"}
"""By kind: the attribute that says of how many bits its weights are; 4 where none does."""
MOVERS = frozenset({"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
SOURCES = frozenset({"ConstantOfShape", "RandomNormal", "RandomUniform"})  # of float32, unless they say otherwise


@dataclass(frozen=True, slots=True)
class _Node:
    kind: str
    domain: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Sequence[memoryview]
    overload: str = ""


_Name = tuple[str, str, str]  # of a function: domain, name, which of that name


@dataclass(slots=True)
class _Walk:
    budget: Budget = field(default_factory=Budget)
    seen: Seen = field(default_factory=Seen)
    functions: dict[_Name, memoryview] = field(default_factory=dict[_Name, memoryview])


Tensors = dict[str, Operand]


def onnx_precision(content: memoryview) -> str:
    """The label; empty where the file does not tell, or says too much to be followed."""
    walk = _Walk()
    try:
        graphs: list[memoryview] = []
        for number_, value in fields(content, walk.budget):
            if number_ == 25:
                walk.functions[_function_name(nested(value), walk.budget)] = nested(value)
            elif number_ == 7:
                graphs.append(nested(value))
        for graph in graphs:
            _graph(walk, graph, {}, (), depth=0)
    except Malformed:
        return ""
    return walk.seen.label


def _graph(walk: _Walk, graph: memoryview, outer: Tensors, given: Sequence[Operand], *, depth: int) -> list[Operand]:
    """Walk through a graph whose inputs are `given`, as far as they are known; what its outputs are."""
    tensors = dict(outer)
    nodes: list[memoryview] = []
    inputs: list[tuple[str, Operand]] = []
    outputs: list[str] = []
    for number_, value in fields(graph, walk.budget):
        if number_ == 1:
            nodes.append(nested(value))
        elif number_ == 5:
            name, operand = _tensor(nested(value), walk.budget)
            tensors[name] = operand
        elif number_ == 15:
            for values in (inner for at, inner in fields(nested(value), walk.budget) if at == 1):
                name, operand = _tensor(nested(values), walk.budget)
                tensors[name] = operand
        elif number_ == 11:
            inputs.append(_declared(nested(value), walk.budget))
        elif number_ == 12:
            outputs.append(_declared(nested(value), walk.budget)[0])
    for at, (name, operand) in enumerate(inputs):
        known = operand if operand.stored or at >= len(given) else given[at]
        tensors.setdefault(name, known)
    walk.budget.spend(len(outer))
    for node in nodes:
        _node(walk, _read(node, walk.budget), tensors, depth=depth)
    return [tensors.get(name, Operand()) for name in outputs]


def _node(walk: _Walk, node: _Node, tensors: Tensors, *, depth: int) -> None:
    if depth > DEEPEST:
        raise Malformed(f"it nests graphs more than {DEEPEST} deep")
    operands = [tensors.get(name, Operand()) for name in node.inputs]
    body = walk.functions.get((node.domain, node.kind, node.overload))
    if body is not None:
        made = _call(walk, body, operands, depth=depth + 1)
    elif graphs := list(_inner(node, walk.budget)):
        made = _branches(walk, node, graphs, operands, tensors, depth=depth + 1)
    elif node.domain not in DOMAINS:
        walk.seen.strange = True
        made = []
    else:
        _note(walk, node, operands)
        made = _made(node, operands, walk.budget)
    for name, operand in zip(node.outputs, made, strict=False):
        tensors[name] = operand


def _call(walk: _Walk, body: memoryview, operands: Sequence[Operand], *, depth: int) -> list[Operand]:
    """What a function of the model makes of its operands."""
    in_body = list(fields(body, walk.budget))
    formal = [text(value) for number_, value in in_body if number_ == 4]
    tensors: Tensors = dict(zip(formal, operands, strict=False))
    for number_, value in in_body:
        if number_ == 7:
            _node(walk, _read(nested(value), walk.budget), tensors, depth=depth)
    return [tensors.get(text(value), Operand()) for number_, value in in_body if number_ == 5]


def _branches(
    walk: _Walk, node: _Node, graphs: Sequence[memoryview], operands: Sequence[Operand], tensors: Tensors, *, depth: int
) -> list[Operand]:
    """What If, Loop and Scan give: as their graphs' outputs are."""
    given = () if node.kind == "If" else (Operand(), *operands[1:]) if node.kind == "Loop" else operands
    results = [_graph(walk, graph, tensors, given, depth=depth) for graph in graphs]
    return results[0][1:] if node.kind == "Loop" else results[0]


def _note(walk: _Walk, node: _Node, operands: Sequence[Operand]) -> None:
    positions = WORKERS.get(node.kind)
    if positions is not None:
        taken = [operands[at] for at in positions if at < len(operands)]
        if node.kind in PACKED:
            taken.append(Operand(f"int{_integer(node, PACKED[node.kind], walk.budget) or 4}"))
        walk.seen.works_on(taken)
    elif operands and "Quantize" not in node.kind and node.kind not in ("Cast", "CastLike", "Shape", "Size"):
        walk.seen.passes(operands[0], integers=node.kind.startswith("QLinear"))


def _made(node: _Node, operands: Sequence[Operand], budget: Budget) -> list[Operand]:
    """What a node's outputs are, all alike unless said otherwise."""
    first = operands[0] if operands else Operand()
    kind = node.kind
    if kind == "DequantizeLinear":
        scale = operands[1].stored if len(operands) > 1 else ""
        return [Operand(ELEMENTS.get(_integer(node, "output_dtype", budget) or 0, scale), first.counts_as)]
    if kind == "QuantizeLinear":
        zero = operands[2].stored if len(operands) > 2 else ""
        return [Operand(zero or ELEMENTS.get(_integer(node, "output_dtype", budget) or 0, "int8"))]
    if kind == "DynamicQuantizeLinear":
        return [Operand("int8"), Operand("fp32"), Operand("int8")]
    if kind == "Cast":
        return [Operand(ELEMENTS.get(_integer(node, "to", budget) or 0, ""))]
    if kind == "CastLike":
        return [Operand(operands[1].stored if len(operands) > 1 else "")]
    if kind == "Constant":
        return [_constant(node, budget)]
    if kind in SOURCES:
        value = _constant(node, budget).stored
        return [Operand(ELEMENTS.get(_integer(node, "dtype", budget) or 0, value or "fp32"))]
    if kind in ("ConvInteger", "MatMulInteger"):
        return [Operand("int32")]
    if kind == "MatMulIntegerToFloat":
        return [Operand(operands[2].stored if len(operands) > 2 else "fp32")]
    if kind in MOVERS:
        return [first] * len(node.outputs)
    if kind.startswith("QLinear"):
        return [Operand(first.stored)] * len(node.outputs)
    known = next((operand.stored for operand in operands if operand.stored in FLOATS), first.stored)
    return [Operand(known)] * len(node.outputs)


def _constant(node: _Node, budget: Budget) -> Operand:
    """What the node's own value is."""
    for attribute in node.attributes:
        parts = dict(fields(attribute, budget))
        name = text(parts[1]) if 1 in parts else ""
        if name in ("value_float", "value_floats"):
            return Operand("fp32")
        if name == "value" and 5 in parts:
            return _tensor(nested(parts[5]), budget)[1]
    return Operand()


def _integer(node: _Node, name: str, budget: Budget) -> int | None:
    """An integer attribute."""
    for attribute in node.attributes:
        parts = dict(fields(attribute, budget))
        if 1 in parts and text(parts[1]) == name and 3 in parts:
            return number(parts[3])
    return None


def _inner(node: _Node, budget: Budget) -> Iterator[memoryview]:
    for attribute in node.attributes:
        for number_, value in fields(attribute, budget):
            if number_ in (6, 11):
                yield nested(value)


def _read(message: memoryview, budget: Budget) -> _Node:
    node = _Node("", "", [], [], [])
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: list[memoryview] = []
    for number_, value in fields(message, budget):
        if number_ == 1:
            inputs.append(text(value))
        elif number_ == 2:
            outputs.append(text(value))
        elif number_ == 4:
            node = replace(node, kind=text(value))
        elif number_ == 5:
            attributes.append(nested(value))
        elif number_ == 7:
            node = replace(node, domain=text(value))
        elif number_ == 8:
            node = replace(node, overload=text(value))
    return replace(node, inputs=inputs, outputs=outputs, attributes=attributes)


def _tensor(message: memoryview, budget: Budget) -> tuple[str, Operand]:
    name, stored = "", ""
    for number_, value in fields(message, budget):
        if number_ == 2:
            stored = ELEMENTS.get(number(value), "")
        elif number_ == 8:
            name = text(value)
    return name, Operand(stored)


def _declared(message: memoryview, budget: Budget) -> tuple[str, Operand]:
    """A ValueInfo's name and type."""
    name, stored = "", ""
    for number_, value in fields(message, budget):
        if number_ == 1:
            name = text(value)
        elif number_ == 2:
            for kind, inner in fields(nested(value), budget):
                if kind == 1:
                    types = [number(element) for at, element in fields(nested(inner), budget) if at == 1]
                    stored = ELEMENTS.get(types[-1], "") if types else ""
    return name, Operand(stored)


def _function_name(message: memoryview, budget: Budget) -> _Name:
    names = {number_: text(value) for number_, value in fields(message, budget) if number_ in (1, 10, 13)}
    return names.get(10, ""), names.get(1, ""), names.get(13, "")
