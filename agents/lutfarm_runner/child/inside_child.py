"""What the supervisor's children have in common: how they begin, how they end."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable

from lutfarm_runner.backend_interface import Backend
from lutfarm_runner.child.load_model import deadline
from lutfarm_runner.child.load_runtime import load_runtime
from lutfarm_runner.machine.limits import be_first_to_go, die_with_parent, no_core_file, pin
from lutfarm_runner.shared_page import Page
from lutfarm_runner.wire import Refused, Writer, claim_stdout

IMPORT_S = 120.0
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Post:
    """What a child works with."""

    writer: Writer
    page: Page
    began_ns: int  # on time.perf_counter_ns: when this process was started


def run_child(role: Callable[[Post, Dict[str, Any]], None], page_descriptor: int, parent: int) -> None:
    """Read the command from stdin, play the role, and turn a bug of ours into an `error` event."""
    writer = Writer(claim_stdout())
    die_with_parent(parent)
    no_core_file()
    be_first_to_go()
    page = Page(page_descriptor)
    page.mark(None, deadline(IMPORT_S))
    command: Dict[str, Any] = json.loads(sys.stdin.buffer.read())
    try:
        role(Post(writer, page, time.perf_counter_ns() - page.age_ns()), command)
    except Refused as refused:
        writer.error(refused, done=False)
    except BrokenPipeError:
        os._exit(1)
    except Exception:  # noqa: BLE001  whatever it is, it is a bug of the runner, and is said
        writer.error(Refused("RunnerBug", traceback.format_exc()), done=False)
    sys.stderr.flush()
    os._exit(0)  # a runtime's destructors may crash


def open_backends(kinds: Iterable[Any], threads: int) -> Dict[Any, Backend]:
    """Import the runtimes of these (runtime, threads) with `threads` for whatever numpy links to."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    return {kind: load_runtime(*kind) for kind in sorted(set(kinds))}


def pin_to(cpus: Iterable[int], threads: int) -> None:
    """The first `threads` of the given cores; none given: wherever the system likes."""
    chosen = list(cpus)[:threads]
    if chosen and not pin(chosen):
        raise Refused("SpecError", f"this process can't be pinned to the cores {chosen}")


def hold_still() -> int:
    """No garbage collection from here on.  Returns time.perf_counter_ns."""
    gc.collect()
    gc.freeze()
    gc.disable()
    return time.perf_counter_ns()
