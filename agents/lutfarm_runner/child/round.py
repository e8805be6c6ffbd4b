"""The round process: loads a chunk of workloads, samples them pass by pass, and ends."""

from __future__ import annotations

import random
import resource
import time
import traceback
from typing import Any, Callable, Dict, List

from lutfarm_runner.backend_interface import Backend
from lutfarm_runner.child import sampling
from lutfarm_runner.child.inside_child import Post, hold_still, open_backends, pin_to
from lutfarm_runner.child.load_model import deadline, load, warm_iteration_ns
from lutfarm_runner.child.sampling import Clock, Sample, Sampler, Subject
from lutfarm_runner.commands import Limits, Round, WireSlicing, read_round
from lutfarm_runner.machine.clock import own_step_ns
from lutfarm_runner.machine.environment import environment
from lutfarm_runner.machine.limits import peak_bytes
from lutfarm_runner.shared_page import SPENT
from lutfarm_runner.time_without_core import run_delay
from lutfarm_runner.wire import encode, write_all
from lutfarm_runner.workload_failure import Failed, calling, failed

PATIENCE = 10  # a slice may take this many times what it should
LEAST_S = 2.0


def play(post: Post, command: Dict[str, Any]) -> None:
    """One round.  A workload that fails here ends it with `died`."""
    began = post.began_ns
    order = read_round(command)
    threads = order.canary.threads
    pin_to(order.cpus, threads)
    cpu = order.cpus[0] if order.cpus else None
    before = environment(cpu)
    backend = open_backends([(order.canary.runtime, threads)], threads)[order.canary.runtime, threads]
    spent: Dict[str, int] = dict.fromkeys(SPENT, 0)
    spent["import"] = time.perf_counter_ns() - began
    post.page.spend(spent)
    try:
        sampler = _canary(post, order, backend)
        post.writer.send(
            "started",
            environment=before,
            import_ns=spent["import"],
            canary_reference_ns=sampler.reference_ns,
            reference_provisional=order.reference_ns is None,
            clock_step_ns=sampler.step_ns,
        )
        subjects = _load_all(post, order, backend, sampler, spent)
        _sample(post, order, sampler, subjects, spent, began)
        _send_nodes(post, order, subjects)
    except Failed as failure:
        _account(spent, None, began)
        post.writer.send("died", id=post.page.read().id, code=failure.code, detail=failure.detail, spent_ns=spent)
        return
    _account(spent, sampler, began)
    post.writer.send(
        "ended",
        environment=environment(cpu),
        peak_memory_bytes=peak_bytes(),
        rejected=sampling.rejected(subjects),
        discarded=sampling.discarded(subjects),
        spent_ns=spent,
    )


def real_clock(threads: int) -> Clock:
    """This process's clocks; with more than one thread the pool's threads count too."""
    who = resource.RUSAGE_SELF if threads > 1 else getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)
    usage = resource.getrusage
    return Clock(
        time.perf_counter_ns,
        time.process_time_ns if threads > 1 else time.thread_time_ns,
        lambda: usage(who).ru_nivcsw,
        run_delay(threads),
        own_step_ns(),
    )


def _canary(post: Post, order: Round, backend: Backend) -> Sampler:
    loaded = load(backend, order.canary, order.limits, post.page)
    warm_up_s = order.slicing.warm_up_ns / 1e9
    post.page.mark(None, deadline(warm_up_s + order.limits.iteration_s * (order.slicing.warmup_first + 1) + LEAST_S))
    sampler = Sampler(order.slicing, real_clock(order.canary.threads), loaded.model.run, order.reference_ns or 0)
    sampler.warm_up()  # first: a reference is the level of a device at work
    for _ in range(order.slicing.warmup_first):
        sampler.level()
    if order.reference_ns is None:
        sampler.establish()
    return sampler


def _load_all(post: Post, order: Round, backend: Backend, sampler: Sampler, spent: Dict[str, int]) -> List[Subject]:
    """The first inference of each is warm-up, not load."""
    began, first_ns, warm_up_ns = time.perf_counter_ns(), 0, sampler.spent.warmup
    subjects: List[Subject] = []
    for workload in order.workloads:
        loaded = load(backend, workload, order.limits, post.page)
        iteration_ns = workload.iteration_ns
        if iteration_ns is None:
            iteration_ns = warm_iteration_ns(loaded.model, workload, order.limits, post.page)
        subjects.append(Subject(workload.id, loaded.model.run, iteration_ns))
        if order.slicing.profile:
            subjects[-1].profiled = _profiled(backend, workload)
        post.writer.send("loaded", id=workload.id, load_ns=loaded.load_ns, first_inference_ns=loaded.first_inference_ns)
        first_ns += loaded.first_inference_ns
        sampler.spent.warmup = spent["warmup"] = warm_up_ns + first_ns
        spent["load"] = time.perf_counter_ns() - began - first_ns
        post.page.spend(spent)
    return subjects


def _profiled(backend: Backend, workload: Any) -> Any:
    """A model whose call is an iteration under the runtime's profiler; it ran once.  None: the runtime has none in Python."""
    load_profiled = getattr(backend, "load_profiled", None)
    if load_profiled is None:
        return None
    with calling("loading with the profiler"):
        model = load_profiled(workload)
        model.feed(workload)
        model.run()
        model.bind_outputs()
    return model


def _send_nodes(post: Post, order: Round, subjects: List[Subject]) -> None:
    for subject in subjects:
        if subject.profiled is not None:
            post.page.mark(subject.id, deadline(order.limits.load_s))
            with calling("ending the profile"):
                found = subject.profiled.nodes()  # pyright: ignore
            post.writer.send("nodes", id=subject.id, nodes=found)
    post.page.mark(None, 0)


def allowance_s(subject: Subject, slicing: WireSlicing, limits: Limits, canary_ns: int) -> float:
    """How long one visit of a subject may take."""
    tries = slicing.long_tries if sampling.is_long(subject, slicing) else 1
    count = tries * sampling.iterations(subject, slicing) + sampling.warmups(subject, slicing) + 2 * slicing.profile
    around_ns = 3 * slicing.canary_iterations * canary_ns + slicing.wait_ns
    window_ns = slicing.sustained_ns // slicing.passes
    should_s = (max(window_ns, count * subject.iteration_ns) + around_ns) / 1e9
    most_s = window_ns / 1e9 + count * limits.iteration_s + PATIENCE * around_ns / 1e9 + LEAST_S
    return min(max(LEAST_S, PATIENCE * should_s), most_s)


def _sample(post: Post, order: Round, sampler: Sampler, subjects: List[Subject], spent: Dict[str, int], began: int) -> None:
    sampler.announce = _announcer(post, order, sampler)
    hold_still()
    if order.slicing.sustained_ns:
        batches = sampling.sustain(sampler, subjects)
    else:
        batches = sampling.sweep(sampler, subjects, random.Random(order.seed))
    while True:
        batch = _next(batches)
        if batch is None:
            return
        post.page.mark(None, 0)
        write_all(post.writer.descriptor, b"".join(map(encode_slice, batch)))
        _account(spent, sampler, began)
        post.page.spend(spent)


def _announcer(post: Post, order: Round, sampler: Sampler) -> Callable[[Subject], None]:
    def announce(subject: Subject) -> None:
        allowed_s = allowance_s(subject, order.slicing, order.limits, sampler.reference_ns)
        post.page.mark(subject.id, deadline(allowed_s))

    return announce


def _next(batches: Any) -> Any:
    """The next batch; only a vendor's code runs between two batches besides the sampling itself."""
    try:
        return next(batches, None)
    except Exception as error:  # a vendor's exceptions have no common root
        if is_ours(error):
            raise
        raise failed(error, "running") from error


def is_ours(error: BaseException) -> bool:
    """Whether an exception came out of the runner's own code: no frame of it is a backend's or a vendor's."""
    names = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    return all(name.startswith("lutfarm_runner.") and ".backends" not in name for name in names)


def encode_slice(sample: Sample) -> bytes:
    """The `slice` event of one slice."""
    fields = dict(vars(sample))  # asdict would copy every sample
    fields["pass"] = fields.pop("pass_index")
    return encode("slice", fields)


def _account(spent: Dict[str, int], sampler: Any, began: int) -> None:
    """Fill in what the sampler counted; `other` is the rest of the process's life so far."""
    if sampler is not None:
        spent.update(
            warmup=sampler.spent.warmup, canary=sampler.spent.canary, slices=sampler.spent.slices, wait=sampler.spent.wait
        )
    named = sum(value for name, value in spent.items() if name != "other")
    spent["other"] = max(0, time.perf_counter_ns() - began - named)
