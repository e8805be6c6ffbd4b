"""Which runtimes this runner has a backend for."""

from __future__ import annotations

import pkgutil
from functools import lru_cache
from pathlib import Path
from typing import Tuple


@lru_cache(maxsize=1)
def known_runtimes() -> Tuple[str, ...]:
    """Each module of `backends` is one, by its name; a package there holds what several share.  Nothing is imported."""
    backends = str(Path(__file__).parent / "backends")
    return tuple(sorted(module.name for module in pkgutil.iter_modules([backends]) if not module.ispkg))
