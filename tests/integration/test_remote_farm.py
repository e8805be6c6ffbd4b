"""A farm from elsewhere: RemoteFarm against the API over a real store and port, and against servers that are none of ours."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from tests import made_models_kit as models
from tests import store_kit as kit
from tests.server_kit import served

from lutfarm.client import remote_farm
from lutfarm.client.link import Link
from lutfarm.client.remote_farm import RemoteFarm
from lutfarm.client.served_store import served_store
from lutfarm.home import Home
from lutfarm.records.device_state import DeviceEvent
from lutfarm.results.validated_table import validated_table
from lutfarm.server.admission.tokens import new_token
from lutfarm.server.api import events
from lutfarm.server.app import make_app
from lutfarm.server.intake.kinds import loaded
from lutfarm.server.settings import Settings
from lutfarm.store import Store, open_store
from lutfarm_jobs.errors import AccessDenied, NotFound, ServerUnreachable, SpecError, TokenRefused, TooManyRequests, WrongState
from lutfarm_jobs.round import Lease
from lutfarm_jobs.spaces import load as load_space

MODEL = models.model([models.node("Relu", "x", "y")])
JOB = """name: small
workloads:
  - models: [nets/*.onnx]
devices: [desk]
backends:
  - runtime: onnxruntime
"""
SPACE = "fbnet-32"
OF_A_SPACE = JOB.replace("models: [nets/*.onnx]", f"space: {SPACE}").replace("small", "told")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with open_store(home.path) as found:
        found.put_device(kit.DESK)
        found.put_hello("desk", kit.HELLO, 5.0)
        found.step_device("desk", DeviceEvent("registered"), 5.0)
        yield found


@pytest.fixture
def app(store: Store, home: Home) -> FastAPI:
    return make_app(store, home, settings=Settings())


@pytest.fixture
def farm(app: FastAPI) -> Iterator[RemoteFarm]:
    with served(app) as address, RemoteFarm(address) as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A job with two models, and files that it does not name."""
    found = tmp_path / "mine"
    (found / "nets").mkdir(parents=True)
    for name in ("nets/a.onnx", "nets/b.onnx", "secret.onnx"):
        (found / name).write_bytes(MODEL)
    (found / "nets" / "notes.txt").write_text("mine")
    (found / "job.yaml").write_text(JOB)
    return found


def measured(store: Store, job_id: str) -> None:
    lease = store.acquire("desk", owner=kit.OWNER, holder="ann", now_s=time.time(), ttl_s=600.0, job_id=job_id)
    assert isinstance(lease, Lease)
    for number, one in enumerate(store.measurements(job_id), start=1):
        slices = (replace(kit.SLICE, samples_ns=(1000 * number,) * 8),)
        store.commit([kit.run(key=one.key, round_index=index, slices=slices) for index in range(2)], lease, job_id)
    store.release(lease)
    store.close_job(job_id, "complete")
    store.dequeue(job_id)


def test_a_job_is_sent_with_the_files_that_it_names_and_no_other(
    store: Store, home: Home, farm: RemoteFarm, folder: Path
) -> None:
    job = farm.submit(folder / "job.yaml", priority=-1)
    assert (job.state, job.priority, job.counts.measurements) == ("queued", -1, 2)
    (entry,) = store.queue()
    sent = {str(path.relative_to(entry.folder)) for path in Path(entry.folder).rglob("*") if path.is_file()}
    assert sent == {"job.yaml", "job.json", "nets/a.onnx", "nets/b.onnx"}
    submitted, _ = loaded(entry, store)
    assert submitted.spec.id == job.id
    assert farm.submit(folder / "job.yaml").id == job.id
    assert len(store.jobs()) == 1


def test_a_file_that_the_farm_has_is_not_sent_again(home: Home, farm: RemoteFarm, folder: Path) -> None:
    farm.submit(folder / "job.yaml")
    (kept,) = home.uploads.iterdir()
    before = kept.stat().st_ino
    (folder / "job.yaml").write_text(JOB.replace("small", "other"))
    farm.submit(folder / "job.yaml")
    assert kept.stat().st_ino == before


def test_a_bad_job_is_refused_before_anything_is_sent_or_by_the_farm(home: Home, farm: RemoteFarm, folder: Path) -> None:
    file = folder / "job.yaml"
    for text, words in (
        ("name: [", "job.yaml"),
        (JOB.replace("nets/*", "nothing/*"), "matches no file"),
        (JOB.replace("nets/*.onnx", "../mine/nets/a.onnx"), "lies outside the job's folder"),
    ):
        file.write_text(text)
        with pytest.raises(SpecError, match=words):
            farm.submit(file)
    assert not home.uploads.exists()
    file.write_text(JOB.replace("desk", "nowhere"))
    with pytest.raises(SpecError, match="no device is registered as 'nowhere'"):
        farm.submit(file)
    with pytest.raises(SpecError, match="priority"):
        farm.submit(file, priority=1000)
    (folder / "nets" / "a.onnx").unlink()
    (folder / "nets" / "a.onnx").symlink_to(folder / "secret.onnx")
    file.write_text(JOB)
    with pytest.raises(SpecError, match="symbolic link"):
        farm.submit(file)


def test_jobs_are_listed_explained_cancelled_and_removed(store: Store, farm: RemoteFarm, folder: Path) -> None:
    job_id = farm.submit(folder / "job.yaml").id
    for number in range(450):
        store.open_job(replace(kit.JOB, id=f"more-{number}", created_s=float(number)), kit.PLAN[:1])
    assert next(job.id for job in farm.jobs()) == job_id
    assert len({job.id for job in farm.jobs()}) == 451
    assert farm.job("small").spec["devices"] == ["desk"]
    (why,) = farm.why(job_id).devices
    assert (why.device, why.left) == ("desk", 2)
    with pytest.raises(WrongState, match="cancel it first"):
        farm.remove(job_id)
    found = farm.cancel(job_id, "a mistake")
    assert found.queue is not None
    assert found.queue.ending.endswith("a mistake")
    store.close_job(job_id, "cancelled")
    store.dequeue(job_id)
    assert farm.remove(job_id).measurements == 2
    with pytest.raises(NotFound, match="no job is called"):
        farm.job(job_id)


def test_a_table_and_predictions_are_those_of_the_store(store: Store, farm: RemoteFarm, folder: Path) -> None:
    (folder / "job.yaml").write_text(OF_A_SPACE)
    job = farm.submit(folder / "job.yaml")
    measured(store, job.id)
    table, wanted = farm.table("told"), validated_table(store, job.id)
    assert table.entries == wanted.entries
    space = load_space(SPACE)
    archs = space.random(1, 5)
    found = farm.predict("told", [space.format(arch) for arch in archs])
    assert [one.estimate for one in found.predictions] == [wanted.predict(space, arch).estimate for arch in archs]
    with pytest.raises(SpecError, match="no entry of nix"):
        farm.table("told", device="nix")
    stored = list(store.runs(job.id))
    assert [run for _, run in store.arrived_runs(job.id, after=0, most=len(stored))] == list(farm.runs("told"))
    assert sorted(farm.runs("told"), key=lambda run: run.id) == sorted(stored, key=lambda run: run.id)
    assert [run.slices for run in farm.runs("told", samples=False)] == [()] * len(stored)


def test_a_job_is_followed_until_it_is_over(
    store: Store, farm: RemoteFarm, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LOOK_S", 0.02)
    job_id = farm.submit(folder / "job.yaml").id
    seen: list[str] = []

    def follow() -> None:
        for job in farm.follow(job_id):
            seen.append(job.state)

    thread = threading.Thread(target=follow)
    thread.start()
    for _ in range(3000):
        if seen:
            break
        time.sleep(0.02)
    measured(store, job_id)
    thread.join(60)
    assert not thread.is_alive()
    assert (seen[0], seen[-1]) == ("queued", "complete")


def test_devices_are_listed_held_and_released(farm: RemoteFarm) -> None:
    assert [device.name for device in farm.devices()] == ["desk"]
    assert farm.hold("desk", "new fan").state == "maintenance"
    assert farm.device("desk").reason == "new fan"
    assert farm.release("desk").state == "ready"
    assert [one.event for one in farm.history("desk")] == ["held", "released"]
    with pytest.raises(WrongState, match="desk is ready"):
        farm.release("desk")
    with pytest.raises(NotFound, match="there is no"):
        farm.device("a/b")
    assert farm.version().api == 1


def test_a_token_says_who_asks(store: Store, app: FastAPI, folder: Path) -> None:
    token, text = new_token("ann", "viewer", time.time())
    store.put_token(token)
    with served(app) as address:
        with RemoteFarm(address) as nobody, pytest.raises(TokenRefused, match="a token is needed"):
            list(nobody.jobs())
        with RemoteFarm(address, text) as ann:
            assert list(ann.jobs()) == []
            with pytest.raises(AccessDenied, match="a viewer may not"):
                ann.submit(folder / "job.yaml")


def test_a_farm_that_is_busy_is_asked_again(store: Store, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lutfarm.client.link.PAUSE_S", 0.2)
    with served(make_app(store, home, settings=Settings(requests_per_s=10, burst=1))) as address:
        with RemoteFarm(address) as farm:
            assert [farm.version().api for _ in range(5)] == [1] * 5
        monkeypatch.setattr("lutfarm.client.link.TRIES", 1)
        with RemoteFarm(address) as farm, pytest.raises(TooManyRequests):
            for _ in range(50):
                farm.version()


def test_a_store_behind_a_busy_farm_is_asked_again(store: Store, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lutfarm.store.rpc.remote.PAUSE_S", 0.2)
    with served(make_app(store, home, settings=Settings(requests_per_s=10, burst=1))) as address:
        found = served_store(Link(address))
        try:
            assert [[device.name for device in found.devices()] for _ in range(5)] == [["desk"]] * 5
            monkeypatch.setattr("lutfarm.store.rpc.remote.TRIES", 1)
            with pytest.raises(TooManyRequests):
                for _ in range(50):
                    found.devices()
        finally:
            found.close()


@pytest.mark.parametrize(
    "url", ["", "farm", "ftp://farm", "http://", "http://ann:secret@farm", "file:///etc/passwd", "http://[::1"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SpecError, match="address"):
        RemoteFarm(url)


@pytest.mark.parametrize("token", ["a b", "a\nb", "é"])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    with pytest.raises(SpecError, match="token"):
        RemoteFarm("http://127.0.0.1:1", token)


def test_nobody_at_the_address_is_said() -> None:
    with RemoteFarm("http://127.0.0.1:1") as farm, pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:1 does not answer"):
        farm.version()


def stranger(answer: Callable[[], Response]) -> Starlette:
    async def any_path(_: Request) -> Response:
        return answer()

    return Starlette(routes=[Route("/{path:path}", any_path, methods=["GET", "POST", "PUT", "DELETE"])])


def endless() -> Response:
    def words() -> Iterator[bytes]:
        while True:
            yield b"x" * 100_000

    return StreamingResponse(words())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: Response("<html>login</html>"), "not understood"),
        (lambda: Response("<html>no</html>", 502), "no farm of ours"),
        (lambda: Response("[]", 500), "no farm of ours"),
        (lambda: Response('{"code": "New", "detail": "x"}', 400), "another version"),
        (lambda: Response('{"lutfarm": 3}'), "not understood"),
        (lambda: Response("", 302, {"location": "http://127.0.0.1:1/"}), "no farm of ours"),
        (endless, "more than"),
    ],
)
def test_a_stranger_at_the_address_is_said(answer: Callable[[], Response], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lutfarm.client.link.LARGEST_ANSWER_BYTES", 1_000_000)
    with served(stranger(answer)) as address, RemoteFarm(address) as farm:
        with pytest.raises(ServerUnreachable, match=words):
            farm.version()


def test_a_stranger_is_not_followed_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_farm, "PAUSE_S", 0.0)
    for answer in (lambda: Response("", media_type="text/event-stream"), lambda: Response("x", 500)):
        with served(stranger(answer)) as address, RemoteFarm(address) as farm, pytest.raises(ServerUnreachable):
            list(farm.follow("job"))
    nonsense: Any = lambda: Response("event: job\ndata: 3\n\n", media_type="text/event-stream")  # noqa: E731
    with served(stranger(nonsense)) as address, RemoteFarm(address) as farm, pytest.raises(SpecError, match="not understood"):
        list(farm.follow("job"))


def test_a_table_that_is_none_is_refused() -> None:
    with served(stranger(lambda: Response('{"entries": []}'))) as address, RemoteFarm(address) as farm:
        with pytest.raises(SpecError):
            farm.table("job")


def test_the_client_imports_neither_what_measures_nor_what_serves() -> None:
    heavy = (
        "ray",
        "onnxruntime",
        "ai_edge_litert",
        "sqlalchemy",
        "fastapi",
        "starlette",
        "uvicorn",
        "onnx",
        "paramiko",
        "matplotlib",
    )
    code = f"import sys, lutfarm.client.remote_farm; print(sorted(set(sys.modules) & {set(heavy)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "[]\n", done.stderr
