"""The search spaces that a job can name."""

from __future__ import annotations

from functools import cache, partial

from lutfarm_jobs.errors import PluginRefused, SpecError
from lutfarm_jobs.measurement import Workload
from lutfarm_jobs.measurement_key import space_and_arch
from lutfarm_jobs.registry import Registry
from lutfarm_jobs.spaces import fbnet, nas_bench_201, ofa, proxylessnas
from lutfarm_jobs.spaces.base import KnownSpace, Space
from lutfarm_jobs.spaces.file import NAME

SPACES = Registry(
    "lutfarm.spaces",
    "search space",
    KnownSpace,
    {
        **{f"fbnet-{size}": KnownSpace(partial(fbnet.space, size)) for size in fbnet.INPUTS},
        **{f"nas-bench-201-{name}": KnownSpace(partial(nas_bench_201.NasBench201, name)) for name in nas_bench_201.DATASETS},
        "proxylessnas-224": KnownSpace(proxylessnas.space),
        **{
            f"ofa-mbv3-{width}-{size}": KnownSpace(partial(ofa.space, width, size))
            for width in ofa.WIDTHS
            for size in ofa.RESOLUTIONS
        },
    },
    pattern=NAME,
)
"""By the name that a job has for it: see docs/extending.md for one from another package."""


def names() -> tuple[str, ...]:
    """The known spaces."""
    return SPACES.names()


@cache
def load(name: str) -> Space:
    """A known space.  Raises SpecError listing them."""
    if name not in SPACES:
        short = [known for known in SPACES.names() if not known.startswith("ofa-mbv3-w")]
        raise SpecError(
            f"unknown space {name[:80]!r}; known: {', '.join(short)}, ofa-mbv3-w1.0-R and ofa-mbv3-w1.2-R "
            "with R = 128, 132, ... 224; or give the path of a .yaml file"
        )
    known = SPACES[name]
    with SPACES.calling(name):
        space = known.make()
        if space.name != name:
            raise PluginRefused(f"{SPACES.source(name)} adds a search space {name!r} that calls itself {space.name[:80]!r}")
    return space


def added_by(workload: Workload) -> str:
    """Of a network of a space that another package adds: which package, of which version; empty for all else.

    Another version may mean another network by the same architecture; our own spaces change with MODELS_VERSION.
    """
    name = space_and_arch(workload.name)[0] if workload.kind == "network" else ""
    return SPACES.source(name) if name in SPACES and name not in SPACES.own() else ""
