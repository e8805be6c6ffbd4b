"""The names that published tables give to operators: HW-NAS-Bench, ProxylessNAS, once-for-all.

Two traps: `expand` is a ratio in ProxylessNAS and the absolute number of middle channels in once-for-all;
and shapes are written height x width x channels, the output's after the stride.
"""

from __future__ import annotations

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.operators.kinds import Conv, FullyConnected, GlobalAvgPool, MBConv, Skip, halved


def hw_nas_bench_key(operator: Operator) -> str:
    """An FBNet operator as HW-NAS-Bench names it.  Raises SpecError for one that it has no name for."""
    if isinstance(operator, MBConv):
        ratio = operator.mid_channels // operator.in_channels
        return (
            f"ConvBlock_H{operator.height}_W{operator.width}_Cin{operator.in_channels}_Cout{operator.out_channels}"
            f"_exp{ratio}_kernel{operator.kernel}_stride{operator.stride}_group{operator.groups}"
        )
    if isinstance(operator, Skip):
        return (
            f"Skip_H{operator.height}_W{operator.width}_Cin{operator.in_channels}_Cout{operator.out_channels}"
            f"_stride{operator.stride}"
        )
    if isinstance(operator, Conv):
        return (
            f"ConvNorm_H{operator.height}_W{operator.width}_Cin{operator.in_channels}_Cout{operator.out_channels}"
            f"_kernel{operator.kernel}_stride{operator.stride}_group{operator.groups}"
        )
    if isinstance(operator, GlobalAvgPool):
        channels = operator.channels
        return f"AvgP_H{operator.height}_W{operator.width}_Cin{channels}_Cout{channels}_kernel{operator.height}_stride1"
    if isinstance(operator, FullyConnected):
        return f"FC_Cin{operator.in_channels}_Cout{operator.out_channels}"
    raise SpecError(f"HW-NAS-Bench has no name for {operator.key}")


def proxylessnas_key(operator: Operator, *, last_size: int = 7) -> str:
    """An operator as the ProxylessNAS tables name it; `last_size` is the height before the classifier.

    Raises SpecError for one that they have no name for (the global pool, which is part of `Logits` there).
    """
    if isinstance(operator, MBConv):
        ratio = operator.mid_channels // operator.in_channels
        return f"{_block(operator)}-expand:{ratio}-{_block_terms(operator)}"
    if isinstance(operator, FullyConnected):
        return f"Logits-input:{last_size}x{last_size}x{operator.in_channels}-output:{operator.out_channels}"
    if isinstance(operator, Conv) and operator.height > 1:
        return _conv("Conv" if operator.in_channels == 3 else "Conv_1", operator)
    raise SpecError(f"the ProxylessNAS tables have no name for {operator.key}")


def ofa_key(operator: Operator) -> str:
    """An operator as the once-for-all tables name it.  Raises SpecError for one that they have no name for."""
    if isinstance(operator, MBConv):
        h_swish = int(operator.activation == "h_swish")
        return f"{_block(operator)}-expand:{operator.mid_channels}-{_block_terms(operator)}-se:{operator.squeezes}-hs:{h_swish}"
    if isinstance(operator, FullyConnected):
        return f"Logits-input:1x1x{operator.in_channels}-output:{operator.out_channels}"
    if isinstance(operator, GlobalAvgPool):
        shape = f"{operator.height}x{operator.width}x{operator.channels}"
        return f"AvgPool2D-input:{shape}-output:1x1x{operator.channels}"
    if isinstance(operator, Conv):
        if operator.in_channels == 3:
            return _conv("Conv", operator)
        return _conv("Conv_1" if operator.height > 1 else "Conv_2", operator)
    raise SpecError(f"the once-for-all tables have no name for {operator.key}")


def _shapes(operator: Conv | MBConv) -> str:
    height, width = halved(operator.height, operator.stride), halved(operator.width, operator.stride)
    return f"input:{operator.height}x{operator.width}x{operator.in_channels}-output:{height}x{width}x{operator.out_channels}"


def _conv(name: str, operator: Conv) -> str:
    return f"{name}-{_shapes(operator)}"


def _block(operator: MBConv) -> str:
    return f"expanded_conv-{_shapes(operator)}"


def _block_terms(operator: MBConv) -> str:
    return f"kernel:{operator.kernel}-stride:{operator.stride}-idskip:{operator.residual}"
