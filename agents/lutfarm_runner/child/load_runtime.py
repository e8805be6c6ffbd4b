"""Load a runtime on the device: its backend is imported and warmed here, and not before it is wanted."""

from __future__ import annotations

import importlib
import sys

from lutfarm_runner.backend_interface import Backend
from lutfarm_runner.known_runtimes import known_runtimes
from lutfarm_runner.wire import Refused


def load_runtime(runtime: str, threads: int) -> Backend:
    """Import a runtime and warm it.  Raises Refused (NotReady) where this interpreter lacks it or it is broken."""
    if runtime not in known_runtimes():
        raise Refused("SpecError", f"this runner has no runtime {runtime!r}")
    try:
        module = importlib.import_module(f"lutfarm_runner.backends.{runtime}")
        backend: Backend = module.open_backend(threads)
    except ImportError as error:
        raise Refused("NotReady", f"{runtime} can't be imported: {error}; install it in {sys.executable}") from error
    except Refused:
        raise
    except Exception as error:
        # So are a runtime's that is installed and broken, and a backend's from a package of somebody else.
        why = f"{type(error).__name__}: {error}"
        raise Refused("NotReady", f"{runtime} fails while it is imported in {sys.executable}: {why}"[:2000]) from error
    try:
        backend.warm()
    except Exception as error:
        # A vendor's exceptions have no common root.
        raise Refused("NotReady", f"{runtime} is broken in {sys.executable}: {error}"[:2000]) from error
    return backend
