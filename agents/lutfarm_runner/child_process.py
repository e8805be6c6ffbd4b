"""A child of the supervisor: a probe template or a round process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, cast

from lutfarm_runner.exit_reason import describe
from lutfarm_runner.shared_page import Page
from lutfarm_runner.wire import Lines, Refused, Tail

CLOSING_S = 5.0  # between the end of its pipe and its own
PYTHON_ARGV = "LUTFARM_PYTHON_ARGV"  # a bundle's words that start its Python
START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from lutfarm_runner.__main__ import main; sys.exit(main())"


def python_argv() -> List[str]:
    """The words that start this Python: those that the host left in the environment, else its executable.

    A Python that was started by an explicit loader can't find out: sys.executable and sys.orig_argv name the program,
    which the kernel can't start by itself where the loader that it names is missing, and /proc/self/exe is the loader.
    """
    given = os.environ.get(PYTHON_ARGV)
    if given is None:
        return [sys.executable]
    try:
        words: Any = json.loads(given)
    except ValueError:
        words = None
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in cast(List[Any], words)):
        raise Refused("SpecError", f"{PYTHON_ARGV} is no JSON list of words: {given[:200]!r}")
    return cast(List[str], words)


class Child:
    """In a session of its own, so that ending its group ends what it started."""

    def __init__(self, role: str, command: Dict[str, Any]) -> None:
        python = python_argv()
        self.page = Page.create()
        self._hung = False
        root = str(Path(__file__).parents[1])
        with tempfile.TemporaryFile() as order:
            order.write(json.dumps(command).encode())
            order.seek(0)
            self._process = subprocess.Popen(
                [*python, "-I", "-c", START, root, role, str(self.page.descriptor), str(os.getpid())],
                stdin=order,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[self.page.descriptor],
                start_new_session=True,
                bufsize=0,
            )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._lines = Lines(self._process.stdout.fileno())
        self._noise = self._process.stderr.fileno()
        self._tail = Tail()
        self.open = [self._lines.descriptor, self._noise]
        for descriptor in self.open:
            os.set_blocking(descriptor, False)

    @property
    def running(self) -> bool:
        """Whether it can still say something."""
        return not self._lines.ended and not self._hung

    def take(self) -> List[bytes]:
        """The lines that have arrived.  Never blocks."""
        self._drain()
        try:
            return [] if self._lines.ended else self._lines.read()
        except BlockingIOError:
            return []

    def _drain(self) -> None:
        """Empty its stderr, so that a talkative library never waits for a reader."""
        try:
            while self._noise in self.open:
                data = os.read(self._noise, 1 << 16)
                self._tail.add(data)
                if not data:
                    self.open.remove(self._noise)
        except BlockingIOError:
            return

    def patience_s(self, grace_s: float) -> float:
        """How long to sleep before the deadline has to be looked at: slices move it without a word."""
        left_ns = self.page.read().left_ns()
        return 1.0 if left_ns is None else max(0.01, left_ns / 1e9 + grace_s)

    def overdue(self, grace_s: float) -> bool:
        """Whether what it does now should be over."""
        left_ns = self.page.read().left_ns()
        return self.running and left_ns is not None and left_ns < -grace_s * 1e9

    def end_late(self) -> None:
        """End it because its time is up."""
        self._hung = True
        self._kill()

    def ending(self) -> Optional[Tuple[str, str]]:
        """Error code and detail, or None where it ended as it should.  Call when it no longer runs."""
        try:
            self._process.wait(CLOSING_S)
        except subprocess.TimeoutExpired:  # its pipe is closed and it lives on
            self._kill()
        code = self._process.wait()
        self._drain()
        if code == 0 and not self._hung:
            return None
        return describe(code, self._tail, hung=self._hung)

    def _kill(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self._process.kill()

    def close(self) -> None:
        """End it and everything it started."""
        self._kill()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self.page.close()
