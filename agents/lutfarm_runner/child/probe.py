"""The probe template: imports the runtimes once, then forks one throwaway child for each workload."""

from __future__ import annotations

import os
import select
import signal
import traceback
from pathlib import Path
from typing import Any, Dict, Tuple

from lutfarm_runner.backend_interface import Backend
from lutfarm_runner.child.agreement import agreement
from lutfarm_runner.child.inside_child import Post, open_backends, pin_to
from lutfarm_runner.child.load_model import deadline, load, warm_iteration_ns
from lutfarm_runner.commands import Limits, Probe, Workload, read_probe
from lutfarm_runner.exit_reason import describe
from lutfarm_runner.machine.limits import die_with_parent, own_bytes, own_peak_bytes, peak_bytes
from lutfarm_runner.shared_page import Page
from lutfarm_runner.wire import Refused, Tail, encode, write_all
from lutfarm_runner.workload_failure import Failed

GRACE_S = 5.0  # the template itself has this much longer than its child
BUG = b"bug "  # begins what a child reports of a bug of the runner


def play(post: Post, command: Dict[str, Any]) -> None:
    """Probe every workload; what one of them does to its child does not touch the next."""
    order = read_probe(command)
    threads = max(workload.threads for workload in order.workloads)
    pin_to(order.cpus, threads)
    backends = open_backends([(w.runtime, w.threads) for w in order.workloads], threads)
    for kind in backends:
        backends[kind].draw_ahead(order.workloads[0].seed)
    for workload in order.workloads:
        backend = backends[workload.runtime, workload.threads]
        write_all(post.writer.descriptor, _probe_in_child(post.page, backend, workload, order))
    post.page.mark(None, 0)


def _probe_in_child(page: Page, backend: Backend, workload: Workload, order: Probe) -> bytes:
    page.mark(workload.id, deadline(order.limits.load_s))
    template = os.getpid()
    report = os.pipe()
    noise = os.pipe()
    child = os.fork()
    if child == 0:
        _be_the_child(report[1], noise[1], template, page, backend, workload, order.limits)
    os.close(report[1])
    os.close(noise[1])
    try:
        line, tail, hung = _listen(child, report[0], noise[0], page)
    finally:
        os.close(report[0])
        os.close(noise[0])
        page.mark(None, deadline(GRACE_S))
    _, status = os.waitpid(child, 0)
    if line.endswith(b"\n"):
        if line.startswith(BUG):
            raise Refused("RunnerBug", line[len(BUG) :].decode("utf-8", "replace"))
        return line
    ending = describe(os.waitstatus_to_exitcode(status), tail, hung=hung)
    return encode("probed", {"id": workload.id, "code": ending[0], "detail": ending[1]})


def _listen(child: int, report: int, noise: int, page: Page) -> Tuple[bytes, Tail, bool]:
    """Read what the child says until it has gone; end it when its deadline passes."""
    line, tail, open_ends = b"", Tail(), [report, noise]
    while open_ends:
        left_s = (page.read().left_ns() or 0) / 1e9
        if left_s <= 0:
            os.kill(child, signal.SIGKILL)
            return line, tail, True
        for end in select.select(open_ends, [], [], min(left_s, 1.0))[0]:
            data = os.read(end, 1 << 16)
            if not data:
                open_ends.remove(end)
            elif end == report:
                line += data
            else:
                tail.add(data)
        if report not in open_ends:
            break
    return line, tail, False


def _be_the_child(
    report: int, noise: int, template: int, page: Page, backend: Backend, workload: Workload, limits: Limits
) -> None:
    """Never returns."""
    try:
        os.dup2(noise, 1)
        os.dup2(noise, 2)
        die_with_parent(template)
        line = encode("probed", {"id": workload.id, **_probe_or_fail(page, backend, workload, limits)})
    except BaseException:  # noqa: BLE001  a forked child must not run on into the template's code
        line = BUG + traceback.format_exc()[-8000:].encode() + b"\n"
    write_all(report, line)
    os._exit(0)


def _probe_or_fail(page: Page, backend: Backend, workload: Workload, limits: Limits) -> Dict[str, Any]:
    try:
        return _probe(page, backend, workload, limits)
    except Failed as failure:
        return {"code": failure.code, "detail": failure.detail}
    except MemoryError:
        return {"code": "OutOfMemory", "detail": f"needs more than the allowed {limits.memory_bytes} bytes"}


def _probe(page: Page, backend: Backend, workload: Workload, limits: Limits) -> Dict[str, Any]:
    own = own_bytes()
    loaded = load(backend, workload, limits, page)

    def begun() -> None:
        page.mark(workload.id, deadline(2 * limits.iteration_s))

    begun()
    found = agreement(backend, loaded.model, workload, begun=begun, again=lambda: load(backend, workload, limits, page).model)
    iteration_ns = warm_iteration_ns(found.model, workload, limits, page)
    grown = max(0, own_peak_bytes() - own)
    return {
        "load_ns": loaded.load_ns,
        "first_inference_ns": loaded.first_inference_ns,
        "iteration_ns": iteration_ns,
        "peak_memory_bytes": peak_bytes(),
        "model_memory_bytes": grown + Path(workload.path).stat().st_size,
        "agreement": found.apart,
        "notes": found.notes,
        "floor_ns": backend.floor_ns,
    }
