"""Which inputs of ONNX's operators decide what runs: control flow, sizes, axes, amounts of work.

By the operator's name, whatever its domain; com.microsoft's own are among them.  Places count from 0.
"""

from __future__ import annotations

from collections.abc import Mapping

ALL = frozenset(range(64))
FROM_FIRST = frozenset(range(1, 64))

DECIDING: Mapping[str, frozenset[int]] = {
    # control flow: what If, Loop and Scan hang on is found where they are taken apart
    "SequenceAt": frozenset({1}),
    "SequenceErase": frozenset({1}),
    "SequenceInsert": frozenset({2}),
    "SplitToSequence": frozenset({1}),
    "SequenceLength": frozenset(),
    "StringSplit": frozenset({0}),
    # how much is left
    "Compress": frozenset({1}),
    "NonZero": frozenset({0}),
    "NonMaxSuppression": ALL,
    "Unique": frozenset({0}),
    "RemovePadding": frozenset({1}),
    "RestorePadding": frozenset({1}),
    "BifurcationDetector": ALL,
    # sizes
    "Reshape": FROM_FIRST,
    "Expand": FROM_FIRST,
    "Tile": FROM_FIRST,
    "Range": ALL,
    "ConstantOfShape": frozenset({0}),
    "Slice": FROM_FIRST,
    "DynamicSlice": FROM_FIRST,
    "Pad": frozenset({1, 3}),
    "TopK": FROM_FIRST,
    "OneHot": frozenset({1}),
    "Resize": FROM_FIRST,
    "Upsample": FROM_FIRST,
    "Split": FROM_FIRST,
    "CenterCropPad": FROM_FIRST,
    "Col2Im": FROM_FIRST,
    "AffineGrid": FROM_FIRST,
    "MaxUnpool": frozenset({2}),
    "CropAndResize": frozenset({1, 2, 3}),
    "RoiAlign": frozenset({1}),
    "MaxRoiPool": frozenset({1}),
    "BlackmanWindow": ALL,
    "HannWindow": ALL,
    "HammingWindow": ALL,
    "MelWeightMatrix": ALL,
    "DFT": FROM_FIRST,
    "STFT": frozenset({1, 3}),
    "ImageDecoder": frozenset({0}),
    "Trilu": FROM_FIRST,
    "EyeLike": frozenset(),
    "RandomUniform": frozenset(),
    "SparseToDenseMatMul": frozenset(),
    "TensorScatter": frozenset(),
    # axes
    "Squeeze": FROM_FIRST,
    "Unsqueeze": FROM_FIRST,
    "ExpandDims": FROM_FIRST,
    "CumSum": FROM_FIRST,
    "CumProd": FROM_FIRST,
    **{
        f"Reduce{name}": FROM_FIRST
        for name in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumInteger", "SumSquare")
    },
    # how far along a sequence
    "LSTM": frozenset({4}),
    "GRU": frozenset({4}),
    "RNN": frozenset({4}),
    "ReverseSequence": frozenset({1}),
    "DynamicQuantizeLSTM": frozenset({4}),
    "AttnLSTM": frozenset({4}),
    "Attention": frozenset({6}),
    "GroupQueryAttention": frozenset({5, 6}),
    "SparseAttention": frozenset({5, 6, 7, 8}),
    "PackedAttention": frozenset({3, 4}),
    "PackedMultiHeadAttention": frozenset({4, 5}),
    "PagedAttention": frozenset(range(4, 12)),
    "LongformerAttention": frozenset({2, 6}),
    "DecoderMaskedMultiHeadAttention": frozenset({7, 8, 9}),
    "DecoderMaskedSelfAttention": frozenset({5, 6, 7}),
    "DecoderAttention": ALL - frozenset({0, 1, 2, 3, 4}),
    "BeamSearch": ALL,
    "GreedySearch": ALL,
    "Sampling": ALL,
    "WhisperBeamSearch": ALL,
    "NGramRepeatBlock": frozenset(),
    "DynamicTimeWarping": frozenset({0}),
    "UnfoldTensor": frozenset(),
    "GatedRelativePositionBias": frozenset({6}),
    "MoE": frozenset({1}),
    "QMoE": frozenset({1}),  # which experts run
    "Dropout": frozenset({2}),
    "BitmaskDropout": frozenset({2}),
    "BiasDropout": frozenset({4}),
}
CUT = frozenset(
    {"Shape", "Size", "Constant", "EyeLike", "RandomNormalLike", "RandomUniformLike", "RandomNormal", "RandomUniform"}
)
"""What these put out hangs on the shapes of their inputs alone, or on nothing."""
CHANCE = frozenset({"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"})
PASSING = frozenset({"Identity", "OptionalGetElement", "Optional"})
MOVING = frozenset(
    {
        "Identity",
        "Cast",
        "CastLike",
        "Unsqueeze",
        "Squeeze",
        "Reshape",
        "Flatten",
        "Transpose",
        "Expand",
        "Slice",
        "Tile",
        "Split",
        "Concat",
        "Gather",
        "OptionalGetElement",
        "Compress",
        "Clip",
        "Where",
        "Max",
        "Min",
    }
)
"""What passes elements on as they are, or in another type or order: an input's role is what it meets behind these."""
