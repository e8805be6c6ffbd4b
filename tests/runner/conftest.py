"""Sessions with the built runner, as a host would hold them."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lutfarm_agents.provisioning.runner_zipapp import runner_zipapp
from lutfarm_jobs.round import Slicing
from lutfarm_jobs.runtimes import all_packages

PROMISED = tuple(f"3.{minor}" for minor in range(9, 15))
PATIENCE_S = 60.0
LIMITS = {"memory_bytes": 1 << 30, "load_s": 30.0, "iteration_s": 10.0}

Event = dict[str, Any]


def find_python(version: str) -> str | None:
    """An interpreter of that version that runs: on PATH, or among those that pyenv keeps."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *map(str, sorted(kept.glob(f"{version}.*/bin/python{version}")))]
    for candidate in candidates:
        if candidate is None:
            continue
        asked = subprocess.run([candidate, "-c", "import json, ssl, ctypes"], capture_output=True, check=False)
        if asked.returncode == 0:
            return candidate
    return None


INTERPRETERS = {version: find_python(version) for version in PROMISED}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what this machine lacks."""
    for version, found in INTERPRETERS.items():
        if found is None:
            terminalreporter.write_line(f"runner: no Python {version} on this machine, not tested on it")


class Session:
    """One supervisor."""

    def __init__(self, archive: Path, python: str | Sequence[str], env: Mapping[str, str]) -> None:
        words = [python] if isinstance(python, str) else python
        self.process = subprocess.Popen(
            [*words, "-I", str(archive), "supervise", *all_packages()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
            env={**os.environ, **env},
        )
        self._lines: list[bytes] = []
        self._rest = b""

    def send_raw(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def send(self, kind: str, **fields: object) -> None:
        self.send_raw(json.dumps({"type": kind, **fields}).encode() + b"\n")

    def receive(self, patience_s: float = PATIENCE_S) -> Event:
        assert self.process.stdout is not None
        end_s = time.monotonic() + patience_s
        while not self._lines:
            left_s = end_s - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, left_s))
            assert ready, f"nothing came in {patience_s} s"
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            if not data:
                raise EOFError(f"the runner ended with {self.process.wait(10)}")
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._lines += lines
        return json.loads(self._lines.pop(0))

    def until(self, kind: str) -> list[Event]:
        """Events up to and with the first of that type; beats are dropped."""
        events: list[Event] = []
        while not events or events[-1]["type"] != kind:
            event = self.receive()
            if event["type"] != "beat":
                events.append(event)
        return events

    def ask(self, kind: str, **fields: object) -> list[Event]:
        self.send(kind, **fields)
        return self.until("done")

    def children(self) -> list[int]:
        """The processes that the supervisor started, and theirs."""
        return descendants(self.process.pid)

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


def descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def wait_until(true: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    end_s = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < end_s, "it did not become true"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def of_type(events: Sequence[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built runner."""
    return runner_zipapp(tmp_path_factory.mktemp("payload"))[0]


Start = Callable[..., Session]


@pytest.fixture
def start(archive: Path) -> Iterator[Start]:
    """Starts supervisors and reads their hello; ends them all afterwards."""
    sessions: list[Session] = []

    def begin(
        python: str | Sequence[str] = sys.executable, *, greet: bool = True, env: Mapping[str, str] | None = None
    ) -> Session:
        sessions.append(Session(archive, python, env or {}))
        if greet:
            assert sessions[-1].receive()["type"] == "hello"
        return sessions[-1]

    yield begin
    for session in sessions:
        session.end()


class Bench:
    """Makes simulated models and the orders that name them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def model(self, **model: object) -> str:
        path = self.folder / f"model{len(list(self.folder.iterdir()))}.json"
        path.write_text(json.dumps({"iteration_ns": 20_000, **model}))
        return str(path)

    def workload(self, number: int, *, path: str = "", runtime: str = "simulated", **fields: object) -> Event:
        return {
            "id": number,
            "path": path or self.model(),
            "runtime": runtime,
            "threads": 1,
            "inputs": [],
            "input_layout": "as_is",
            "seed": 1,
            "expected": None,
            "iteration_ns": 20_000,
            **fields,
        }

    def workloads(self, *models: Mapping[str, object]) -> list[Event]:
        return [self.workload(number, path=self.model(**model)) for number, model in enumerate(models)]

    def probe(self, *models: Mapping[str, object], **changes: object) -> Event:
        return {"workloads": self.workloads(*models), "limits": LIMITS, "cpus": [], **changes}

    def round(self, *models: Mapping[str, object], slicing: Mapping[str, object] | None = None, **changes: object) -> Event:
        canary = self.model(iteration_ns=5_000)
        return {
            "workloads": self.workloads(*models),
            "slicing": {**asdict(Slicing(passes=3, wait_ns=1_000_000)), **(slicing or {})},
            "seed": 7,
            "canary": {"path": canary, "runtime": "simulated", "threads": 1, "reference_ns": 6_000},
            "limits": LIMITS,
            "cpus": [],
            **changes,
        }


@pytest.fixture(scope="session")
def interpreters() -> dict[str, str | None]:
    """By version: an interpreter, or None."""
    return INTERPRETERS


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Simulated models in a folder of their own."""
    folder = tmp_path / "models"
    folder.mkdir()
    return Bench(folder)
