"""Search spaces: FBNet, NAS-Bench-201, ProxylessNAS, OFA MobileNetV3, and a user's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.spaces import fbnet, nas_bench_201, ofa, proxylessnas
from lutfarm_jobs.spaces.base import Choice, Layer, Space
from lutfarm_jobs.spaces.file import read_file, space_of

_KNOWN: dict[str, Callable[[], Space]] = {
    **{f"fbnet-{size}": partial(fbnet.space, size) for size in fbnet.INPUTS},
    **{f"nas-bench-201-{name}": partial(nas_bench_201.NasBench201, name) for name in nas_bench_201.DATASETS},
    "proxylessnas-224": proxylessnas.space,
    **{f"ofa-mbv3-{width}-{size}": partial(ofa.space, width, size) for width in ofa.WIDTHS for size in ofa.RESOLUTIONS},
}


def names() -> tuple[str, ...]:
    """The known spaces."""
    return tuple(_KNOWN)


@cache
def load(name: str) -> Space:
    """A known space.  Raises SpecError listing them."""
    if name not in _KNOWN:
        short = [known for known in _KNOWN if not known.startswith("ofa")]
        raise SpecError(
            f"unknown space {name[:80]!r}; known: {', '.join(short)}, ofa-mbv3-w1.0-R and ofa-mbv3-w1.2-R "
            "with R = 128, 132, ... 224; or give the path of a .yaml file"
        )
    return _KNOWN[name]()


__all__ = ["Choice", "Layer", "Space", "load", "names", "read_file", "space_of"]
