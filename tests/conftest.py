"""What every test has in common."""

from __future__ import annotations

import os
import re
import signal
import threading

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# An example that takes longer on a busy machine is no failure: timings are benchmarks, not tests.  Where CI is set the
# examples are the same in every run, so that a change is judged by itself.
settings.register_profile("untimed", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("untimed")


# A shell that starts the tests in the background ignores SIGINT, and so would every `lutfarm` that they start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What measures on this machine: it has one lock, so that two workers would only wait for each other.
HERE = re.compile(r"tests/(acceptance/(?!test_(bad_input|help|lut_diff))|integration/test_farm\.py)")


class ByModule(LoadScopeScheduling):
    """One worker runs all of a module, whose phones and boards are booted once."""

    def _split_scope(self, nodeid: str) -> str:
        return "this machine" if HERE.match(nodeid) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByModule:
    """What several workers share out."""
    return ByModule(config, log)
