"""Search spaces: FBNet, NAS-Bench-201, ProxylessNAS, OFA MobileNetV3, and a user's own."""

from lutfarm_jobs.spaces.base import Choice, KnownSpace, Layer, Space
from lutfarm_jobs.spaces.file import read_file, space_of
from lutfarm_jobs.spaces.known import SPACES, added_by, load, names

__all__ = ["SPACES", "Choice", "KnownSpace", "Layer", "Space", "added_by", "load", "names", "read_file", "space_of"]
