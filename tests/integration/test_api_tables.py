"""What the API says of a job's runs: page by page, as a table, as predictions, and while the job goes on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests import store_kit as kit
from tests.server_kit import API, client_of

from lutfarm.home import Home
from lutfarm.lut import LatencyTable, load
from lutfarm.records.device_state import DeviceEvent
from lutfarm.records.job import Job
from lutfarm.results.validated_table import validated_table
from lutfarm.server.api import events, runs
from lutfarm.server.api.paging import cursor_of
from lutfarm.server.app import make_app
from lutfarm.server.settings import Settings
from lutfarm.store import Store, open_store
from lutfarm.submission.submit import submit
from lutfarm_jobs.round import Lease
from lutfarm_jobs.spaces import load as load_space
from lutfarm_jobs.spec import parse_job

SPACE = "fbnet-32"
CONTENT: dict[str, Any] = {
    "name": "told",
    "workloads": [{"space": SPACE}],
    "devices": ["desk"],
    "backends": [{"runtime": "onnxruntime"}],
    "sampling": {"rounds": 2},
}
ROUNDS = 2


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
def client(app: FastAPI) -> Iterator[httpx.Client]:
    with client_of(app) as found:
        yield found


def measured(store: Store, *, most: int | None = None) -> str:
    """A job of a space that was measured; the n-th operator takes n microseconds."""
    submitted, _ = submit(parse_job(CONTENT, source="job.yaml"), Path(), store)
    spec = submitted.spec
    store.open_job(Job(spec.id, spec.name, spec.model_dump_json(), 10.0, "complete", zeros=submitted.zeros), submitted.plan)
    lease = store.acquire("desk", owner=kit.OWNER, holder="ann", now_s=time.time(), ttl_s=600.0, job_id=spec.id)
    assert isinstance(lease, Lease)
    for number, measurement in enumerate(submitted.plan[:most], start=1):
        one = replace(kit.SLICE, samples_ns=(1000 * number,) * 8)
        store.commit(
            [
                kit.run(
                    key=measurement.key, id=f"{number:016x}{index:016x}", round_index=index, slices=(one,), started_s=1.0 + index
                )
                for index in range(ROUNDS)
            ],
            lease,
            spec.id,
        )
    store.release(lease)
    return spec.id


def refused(answer: httpx.Response, status: int, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"code", "detail"}
    assert words in answer.json()["detail"]


def test_runs_come_in_pages_with_every_sample(store: Store, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = measured(store, most=10)
    stored = [run for _, run in store.arrived_runs(job_id, after=0, most=100)]
    assert sorted(run.id for run in stored) == sorted(run.id for run in store.runs(job_id))

    def pages(**params: Any) -> list[list[dict[str, Any]]]:
        found: list[list[dict[str, Any]]] = []
        cursor: str | None = None
        while True:
            asked = params | ({} if cursor is None else {"cursor": cursor})
            answer = client.get(f"{API}/jobs/{job_id}/runs", params=asked).json()
            found.append(answer["items"])
            cursor = answer["next"]
            if cursor is None:
                return found

    for limit in (1, 7, 20, 200):
        found = pages(limit=limit)
        assert [run["id"] for one in found for run in one] == [run.id for run in stored]
        assert all(len(one) == limit for one in found[:-1])
    (first, *_) = pages()[0]
    assert first["slices"][0]["samples_ns"] == list(stored[0].slices[0].samples_ns)
    assert first["fingerprint"] == dict(stored[0].fingerprint)
    assert not any(run["slices"] for one in pages(samples=False) for run in one)
    monkeypatch.setattr(runs, "MOST_SAMPLES", 20)
    assert [len(one) for one in pages()] == [2] * (len(stored) // 2)
    refused(client.get(f"{API}/jobs/{job_id}/runs", params={"limit": 201}), 422, "limit")
    for far in (-1, 1 << 31, 1 << 80):
        refused(client.get(f"{API}/jobs/{job_id}/runs", params={"cursor": cursor_of((far,))}), 422, "none of this list")


@pytest.mark.parametrize("format", ["json", "csv", "parquet"])
def test_a_table_is_the_one_that_is_exported(store: Store, client: httpx.Client, tmp_path: Path, format: str) -> None:
    job_id = measured(store)
    answer = client.get(f"{API}/jobs/told/table", params={"format": format})
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="{job_id}.{format}"'
    (tmp_path / f"t.{format}").write_bytes(answer.content)
    if format == "csv":
        beside = client.get(f"{API}/jobs/told/table", params={"format": format, "beside": True})
        (tmp_path / "t.manifest.json").write_bytes(beside.content)
    table, wanted = load(tmp_path / f"t.{format}"), validated_table(store, job_id)
    assert table.entries == wanted.entries
    assert replace(table.manifest, created_s=0.0) == replace(wanted.manifest, created_s=0.0)


def test_a_table_that_cannot_be_is_refused(store: Store, client: httpx.Client) -> None:
    measured(store, most=3)
    path = f"{API}/jobs/told/table"
    refused(client.get(path, params={"format": "pickle"}), 422, "there is no table format 'pickle'")
    refused(client.get(path, params={"format": "json", "beside": True}), 422, "lies nothing")
    refused(client.get(path, params={"device": "nix"}), 422, "no entry of nix")
    refused(client.get(path, params={"pool": "nix"}), 422, "no device of the profile")
    refused(client.get(f"{API}/jobs/nobody/table"), 404, "no job is called")


def test_a_table_is_made_once_for_questions_of_one_moment_and_anew_when_more_was_measured(
    store: Store, app: FastAPI, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = measured(store, most=5)
    made: list[str] = []

    def counted(known: Store, name: str, **part: Any) -> LatencyTable:
        made.append(name)
        return validated_table(known, name, **part)

    monkeypatch.setattr("lutfarm.server.tables.validated_table", counted)
    path = f"{API}/jobs/{job_id}/table"
    first = client.get(path).content
    assert client.get(path).content == first
    assert len(made) == 1
    lease = store.acquire("desk", owner=kit.OWNER, holder="ann", now_s=time.time(), ttl_s=600.0, job_id=job_id)
    assert isinstance(lease, Lease)
    store.commit([kit.run(key=store.measurements(job_id)[0].key, started_s=9.0)], lease, job_id)
    assert client.get(path).content != first
    assert len(made) == 2


def test_predictions_are_those_of_the_table(store: Store, client: httpx.Client) -> None:
    job_id = measured(store)
    space, table = load_space(SPACE), validated_table(store, job_id)
    archs = space.random(3, 50)
    asked = {"archs": [space.format(arch) for arch in archs], "space": SPACE}
    answer = client.post(f"{API}/jobs/{job_id}/table/predict", json=asked).json()
    assert (answer["device"], answer["unit"], answer["validation"]) == ("desk", "ns", None)
    for arch, one in zip(archs, answer["predictions"], strict=True):
        wanted = table.predict(space, arch)
        assert one["arch"] == space.format(arch)
        assert (one["estimate"], one["low"], one["high"]) == (wanted.estimate, wanted.low, wanted.high)
    own = client.post(f"{API}/jobs/{job_id}/table/predict", json={"archs": asked["archs"]}).json()
    assert own == answer


def test_a_prediction_that_lacks_something_says_so(store: Store, client: httpx.Client) -> None:
    measured(store, most=3)
    path, arch = f"{API}/jobs/told/table/predict", load_space(SPACE).format(load_space(SPACE).random(0, 1)[0])
    refused(client.post(path, json={"archs": [arch]}), 422, "no latency")
    part = client.post(path, json={"archs": [arch], "allow_partial": True}).json()["predictions"][0]
    assert (part["coverage"] < 1, part["low"], bool(part["missing"])) == (True, None, True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"space": "/etc/hostname.yaml"}, "unknown space"),
        ({"space": "../x.yml"}, "unknown space"),
        ({"space": "nas-bench-201"}, ""),
        ({"archs": ["nonsense"]}, ""),
        ({"archs": []}, "archs"),
        ({"archs": ["1"] * 10_001}, "archs"),
        ({"device": "nix"}, "no entry of nix"),
        ({"more": 1}, "more"),
    ],
)
def test_a_prediction_of_nonsense_is_refused(store: Store, client: httpx.Client, changes: dict[str, Any], words: str) -> None:
    measured(store, most=3)
    space = load_space(SPACE)
    asked = {"archs": [space.format(space.random(0, 1)[0])]} | changes
    refused(client.post(f"{API}/jobs/told/table/predict", json=asked), 422, words)


def heard(client: httpx.Client, job_id: str, seen: list[tuple[str, Any]]) -> None:
    """Each event with its data, until the server ends."""
    with client.stream("GET", f"{API}/jobs/{job_id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                seen.append((name, json.loads(line.removeprefix("data: "))))


def until(seen: list[tuple[str, Any]], name: str, state: str = "") -> None:
    for _ in range(3000):
        if any(each == name and (not state or data["state"] == state) for each, data in list(seen)):
            return
        time.sleep(0.02)
    raise AssertionError(seen)


def test_a_job_is_followed_to_its_end(store: Store, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK_S", 0.02)
    job_id = client.post(f"{API}/jobs", json={"job": json.dumps(CONTENT)}).json()["id"]
    seen: list[tuple[str, Any]] = []
    thread = threading.Thread(target=heard, args=(client, job_id, seen))
    thread.start()
    until(seen, "job", "queued")
    store.close_job(job_id, "open")
    until(seen, "job", "open")
    measured(store, most=2)
    store.close_job(job_id, "complete")
    store.dequeue(job_id)
    thread.join(60)
    assert not thread.is_alive()
    (last, job) = seen[-1]
    assert (last, job["state"], job["counts"]["runs"], job["queue"]) == ("end", "complete", 2 * ROUNDS, None)
    assert [name for name, _ in seen[:-1]] == ["job"] * (len(seen) - 1)
    assert all(one != other for one, other in pairwise(seen))


def test_a_job_that_is_over_is_told_at_once(store: Store, client: httpx.Client) -> None:
    seen: list[tuple[str, Any]] = []
    heard(client, measured(store, most=1), seen)
    assert [name for name, _ in seen] == ["job", "end"]
    refused(client.get(f"{API}/jobs/nobody/events"), 404, "no job is called")


def test_who_listens_is_bounded(store: Store, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK_S", 0.02)
    settings = Settings(most_listeners=1, longest_events_s=1.5)
    with client_of(make_app(store, home, settings=settings)) as client:
        job_id = client.post(f"{API}/jobs", json={"job": json.dumps(CONTENT)}).json()["id"]
        seen: list[tuple[str, Any]] = []
        thread = threading.Thread(target=heard, args=(client, job_id, seen))
        thread.start()
        until(seen, "job")
        refused(client.get(f"{API}/jobs/{job_id}/events"), 503, "listen already")
        thread.join(60)
        assert seen[-1] == ("again", {})
        again: list[tuple[str, Any]] = []
        heard(client, job_id, again)
        assert again[-1] == ("again", {})


def test_who_stops_listening_makes_room(store: Store, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK_S", 0.02)
    with client_of(make_app(store, home, settings=Settings(most_listeners=1))) as client:
        path = f"{API}/jobs/{client.post(f'{API}/jobs', json={'job': json.dumps(CONTENT)}).json()['id']}/events"
        for _ in range(3):
            status = 503
            while status == 503:  # until the server has seen that the one before left
                with client.stream("GET", path) as answer:
                    status = answer.status_code
                    if status == 200:
                        assert next(answer.iter_lines()) == "event: job"
                time.sleep(0.02)
            assert status == 200
