"""How a workload fails: what a vendor raises in a backend's load or run is caught and renamed here, and nowhere else."""

from __future__ import annotations

import contextlib
from typing import Generator

OUT_OF_MEMORY = ("bad_alloc", "failed to allocate", "cannot allocate memory", "out of memory", "length_error")


class Failed(Exception):
    """A MeasurementError of the host: a result, not a fault of the runner."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@contextlib.contextmanager
def calling(doing: str) -> Generator[None, None, None]:
    """Around a vendor's code: its exceptions, which have no common root, become Failed."""
    try:
        yield
    except Failed:
        raise
    except Exception as error:
        raise failed(error, doing) from error


def failed(error: BaseException, doing: str) -> Failed:
    """A vendor's exception by what it means.  The text is the vendor's own."""
    text = f"{type(error).__name__}: {error}"
    memory = isinstance(error, MemoryError) or any(sign in text.lower() for sign in OUT_OF_MEMORY)
    return Failed("OutOfMemory" if memory else "WorkloadFailed", f"{doing}: {text}"[:2000])
