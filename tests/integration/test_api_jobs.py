"""Jobs that people send: checked as the command line would, queued once, cancelled, removed; over a real store and port."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests import made_models_kit as models
from tests import store_kit as kit
from tests.server_kit import API, client_of, served

from lutfarm.home import Home
from lutfarm.records.device_state import DeviceEvent
from lutfarm.records.token import Role
from lutfarm.server.admission.tokens import new_token
from lutfarm.server.app import make_app
from lutfarm.server.intake import uploads
from lutfarm.server.intake.kinds import loaded
from lutfarm.server.settings import Settings
from lutfarm.store import Store, open_store
from lutfarm.submission.submit import submission
from lutfarm_jobs.errors import SpecError

CONV = "conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu"
JOB = f"""name: small
workloads:
  - operators: [{CONV}]
devices: [desk]
backends:
  - runtime: onnxruntime
"""
WITH_MODELS = JOB.replace(f"operators: [{CONV}]", "models: [nets/*.onnx]")
MODEL = models.model([models.node("Relu", "x", "y")])
OTHER = models.model([models.node("Sigmoid", "x", "y")])


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
    return make_app(store, home, settings=Settings(largest_file_bytes=100_000))


@pytest.fixture
def client(app: FastAPI) -> Iterator[httpx.Client]:
    with client_of(app) as found:
        yield found


def put(client: httpx.Client, content: bytes, sha256: str | None = None, **headers: str) -> httpx.Response:
    sha256 = sha256 or hashlib.sha256(content).hexdigest()
    sent = {"Content-Type": "application/octet-stream"} | headers
    return client.put(f"{API}/files/{sha256}", content=content, headers=sent)


def sent(client: httpx.Client, job: str = JOB, **more: Any) -> httpx.Response:
    return client.post(f"{API}/jobs", json={"job": job} | more)


def with_models(client: httpx.Client, **contents: bytes) -> httpx.Response:
    files = {f"nets/{name}.onnx": put(client, content).json()["sha256"] for name, content in contents.items()}
    return sent(client, WITH_MODELS, files=files)


def refused(answer: httpx.Response, status: int, words: str, code: str = "SpecError") -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert words in answer.json()["detail"]


def test_a_job_is_stored_queued_and_found_by_the_dispatcher(store: Store, client: httpx.Client) -> None:
    answer = sent(client, priority=-3, until_s=time.time() + 1000)
    assert answer.status_code == 201
    job = answer.json()
    assert answer.headers["location"] == f"{API}/jobs/{job['id']}"
    assert (job["state"], job["priority"], job["user"]) == ("queued", -3, "")
    (entry,) = store.queue()
    submitted, _ = loaded(entry, store)
    assert (submitted.spec.id, submitted.priority, submitted.until_s) == (job["id"], -3, entry.until_s)
    assert {m.key for m in store.measurements(job["id"])} == {m.key for m in submitted.plan}


def test_the_same_job_again_is_the_same_job_and_nothing_is_doubled(store: Store, client: httpx.Client) -> None:
    first = sent(client)
    again = sent(client, JOB + "\n# a remark\n")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert (len(store.queue()), len(store.jobs())) == (1, 1)


def test_many_at_once_make_one_job(store: Store, app: FastAPI) -> None:
    found: list[int] = []
    with served(app) as address:
        clients = [httpx.Client(base_url=address, timeout=120) for _ in range(6)]
        threads = [threading.Thread(target=lambda c: found.append(sent(c).status_code), args=(one,)) for one in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in clients:
            one.close()
    assert sorted(found) == [200] * 5 + [201]
    assert (len(store.queue()), len(store.jobs())) == (1, 1)


def test_a_job_with_files_has_a_folder_of_its_own(store: Store, home: Home, client: httpx.Client) -> None:
    answer = with_models(client, relu=MODEL, sigmoid=OTHER)
    assert answer.status_code == 201, answer.text
    assert answer.json()["counts"]["measurements"] == 2
    (entry,) = store.queue()
    assert Path(entry.folder) == home.submitted / answer.json()["id"]
    assert (Path(entry.folder) / "nets" / "relu.onnx").read_bytes() == MODEL
    submitted, sources = loaded(entry, store)
    assert {m.workload.path for m in submitted.plan} == {"nets/relu.onnx", "nets/sigmoid.onnx"}
    assert all(path.is_relative_to(entry.folder) for path in sources.model_paths.values())
    assert not list(home.submitted.glob(".incoming-*"))


@pytest.mark.parametrize(
    "job",
    [
        "",
        "name: [",
        "name: small\n",
        JOB.replace("desk", "nowhere"),
        JOB.replace("onnxruntime", "tflite"),
        JOB.replace("onnxruntime", "nothing"),
        JOB.replace(CONV, "conv_nonsense"),
        JOB + "more: 1\n",
        JOB.replace("desk", "&a desk"),
        WITH_MODELS,
    ],
)
def test_a_bad_job_is_refused_with_what_the_command_line_says(
    store: Store, home: Home, tmp_path: Path, client: httpx.Client, job: str
) -> None:
    answer = client.post(f"{API}/jobs", json={"job": job or "\n"})
    (tmp_path / "job.yaml").write_text(job)
    with pytest.raises(SpecError) as said:
        submission(tmp_path / "job.yaml", store)
    words = said.value.detail.replace(f"{tmp_path}/", "").replace(str(tmp_path), "the job's folder")
    assert (answer.status_code, answer.json()["detail"]) == (422, words)
    assert str(home.path) not in answer.text
    assert (store.queue(), store.jobs(), list(home.submitted.iterdir())) == ([], [], [])


@pytest.mark.parametrize(
    "workload",
    [
        "models: [/etc/hostname]",
        "models: [../../farm.db]",
        "models: [a/../../x.onnx]",
        '"models": ["x\\0.onnx"]',
        "space: /etc/hostname.yaml",
        "space: ../x.yml",
        "models: [x.onnx]\n    values: {x: {file: /etc/hostname}}",
        "models: [x.onnx]\n    values: {x: ../x.npy}",
        "models: [x.onnx]\n    test_data: ../../..",
        "models: [x.onnx]\n    test_data: /etc",
    ],
)
def test_a_job_reads_nothing_outside_its_folder(store: Store, client: httpx.Client, workload: str) -> None:
    job = JOB.replace(f"operators: [{CONV}]", workload)
    refused(sent(client, job, files={"x.onnx": put(client, MODEL).json()["sha256"]}), 422, "lies outside the job's folder")
    assert store.jobs() == []


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../x.onnx", "/x.onnx", "a/../../x.onnx", "a//x.onnx", "./x.onnx", "a/", "a\\x.onnx", "x\0.onnx"),
        *("x\n.onnx", "a/" * 20 + "x.onnx", "x" * 300, "job.yaml", "\u202ex.onnx"),
    ],
)
def test_a_name_that_is_no_name_in_a_folder_is_refused(home: Home, client: httpx.Client, name: str) -> None:
    before = sorted(home.path.rglob("*"))
    sha256 = put(client, MODEL).json()["sha256"]
    refused(sent(client, WITH_MODELS, files={name: sha256}), 422, "")
    after = {path for path in sorted(home.path.rglob("*")) if path not in before}
    assert {path.relative_to(home.path).parts[0] for path in after} <= {"uploads", "submitted", "farm.db-wal", "farm.db-shm"}
    assert not (home.submitted.exists() and list(home.submitted.iterdir()))


def test_a_file_that_is_a_folder_too_is_refused(client: httpx.Client) -> None:
    sha256 = put(client, MODEL).json()["sha256"]
    refused(sent(client, WITH_MODELS, files={"nets": sha256, "nets/a.onnx": sha256}), 422, "a file and a folder")


def test_a_file_that_was_not_sent_is_asked_for(client: httpx.Client) -> None:
    refused(sent(client, WITH_MODELS, files={"nets/a.onnx": "0" * 64}), 409, "PUT each", "WrongState")
    assert client.get(f"{API}/files/{'0' * 64}").status_code == 404


def test_a_file_comes_whole_or_not_at_all(home: Home, client: httpx.Client) -> None:
    refused(put(client, MODEL, "0" * 64), 422, "send the file again")
    refused(put(client, b"x" * 200_000), 413, "100000", "TooLarge")
    assert [path.name for path in home.uploads.iterdir()] == []
    assert put(client, MODEL).status_code == 201
    assert put(client, MODEL).json() == {"sha256": hashlib.sha256(MODEL).hexdigest(), "size_bytes": len(MODEL)}
    assert client.get(f"{API}/files/{hashlib.sha256(MODEL).hexdigest()}").json()["size_bytes"] == len(MODEL)
    assert len(list(home.uploads.iterdir())) == 1


def test_pieces_that_are_too_many_are_not_kept(home: Home, client: httpx.Client) -> None:
    answer = client.put(
        f"{API}/files/{'0' * 64}", content=iter([b"x" * 30_000] * 10), headers={"Content-Type": "application/octet-stream"}
    )
    refused(answer, 413, "100000", "TooLarge")
    assert list(home.uploads.iterdir()) == []


def test_a_file_that_breaks_off_leaves_nothing(home: Home, app: FastAPI) -> None:
    lines = (f"PUT {API}/files/{'0' * 64} HTTP/1.1", "Host: localhost", "Content-Type: application/octet-stream")
    with served(app) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=60) as link:
            link.sendall("\r\n".join((*lines, "Content-Length: 1000", "", "")).encode() + b"x" * 500)
        for _ in range(600):
            if home.uploads.exists() and not list(home.uploads.iterdir()):
                break
            time.sleep(0.05)
        assert list(home.uploads.iterdir()) == []
        assert httpx.get(f"{address}/healthz").status_code == 200


def test_a_disk_that_is_nearly_full_takes_no_more(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "RESERVE_BYTES", 1 << 60)
    refused(put(client, MODEL), 507, "has to make room", "StoreUnwritable")


def test_what_was_sent_a_day_ago_is_gone(home: Home, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    old = put(client, MODEL).json()["sha256"]
    monkeypatch.setattr(uploads, "KEPT_S", -1.0)
    monkeypatch.setattr(uploads, "TIDY_S", 0.0)
    new = put(client, OTHER).json()["sha256"]
    assert client.get(f"{API}/files/{old}").status_code == 404
    assert client.get(f"{API}/files/{new}").status_code == 200


def test_a_damaged_file_is_noticed(home: Home, client: httpx.Client) -> None:
    sha256 = put(client, MODEL).json()["sha256"]
    (home.uploads / sha256).write_bytes(b"other")
    refused(sent(client, WITH_MODELS, files={"nets/a.onnx": sha256}), 422, "damaged")
    assert client.get(f"{API}/files/{sha256}").status_code == 404


def test_a_job_at_work_takes_no_other_files_and_one_that_is_over_does(store: Store, home: Home, client: httpx.Client) -> None:
    first = with_models(client, a=MODEL).json()["id"]
    refused(with_models(client, a=OTHER), 409, "other files", "WrongState")
    store.dequeue(first)
    store.close_job(first, "failed", "SpecError: x")
    answer = with_models(client, a=OTHER)
    assert (answer.status_code, answer.json()["state"], answer.json()["id"]) == (200, "queued", first)
    assert (home.submitted / first / "nets" / "a.onnx").read_bytes() == OTHER


@pytest.mark.parametrize("state", ["failed", "cancelled", "open", "queued"])
def test_a_job_that_ended_without_being_complete_is_queued_again(store: Store, client: httpx.Client, state: Any) -> None:
    job_id = sent(client).json()["id"]
    store.dequeue(job_id)
    store.close_job(job_id, state, "why")
    answer = sent(client)
    assert (answer.status_code, answer.json()["state"], answer.json()["reason"]) == (200, "queued", "")
    assert [entry.job_id for entry in store.queue()] == [job_id]


def test_a_complete_job_of_which_something_is_left_is_queued_again(store: Store, client: httpx.Client) -> None:
    job_id = sent(client).json()["id"]
    store.dequeue(job_id)
    store.close_job(job_id, "complete")
    assert sent(client).json()["state"] == "queued"


def test_a_job_is_cancelled_once_and_not_when_it_is_over(store: Store, client: httpx.Client) -> None:
    job_id = sent(client).json()["id"]
    path = f"{API}/jobs/{job_id}/cancel"
    answer = client.post(path, json={"why": "a\nmistake"})
    assert (answer.status_code, answer.json()["queue"]["ending"]) == (202, "cancelled by the operator: a mistake")
    refused(sent(client), 409, "is being cancelled", "WrongState")
    store.close_job(job_id, "cancelled", "cancelled by the operator")
    store.dequeue(job_id)
    refused(client.post(path, json={}), 409, "nothing to cancel", "WrongState")
    refused(client.post(f"{API}/jobs/small/cancel", json={}), 404, "named in full", "NotFound")


def test_a_job_is_removed_with_its_files_once_it_is_over(store: Store, home: Home, client: httpx.Client) -> None:
    job_id = with_models(client, a=MODEL).json()["id"]
    refused(client.delete(f"{API}/jobs/{job_id}"), 409, "cancel it first", "WrongState")
    store.dequeue(job_id)
    assert client.delete(f"{API}/jobs/{job_id}").json()["measurements"] == 1
    assert list(home.submitted.iterdir()) == []
    refused(client.delete(f"{API}/jobs/{job_id}"), 404, "", "NotFound")


def test_a_submitter_ends_and_removes_their_own_jobs_alone(store: Store, client: httpx.Client) -> None:
    def of(user: str, role: Role) -> dict[str, str]:
        token, text = new_token(user, role, time.time())
        store.put_token(token)
        return {"Authorization": f"Bearer {text}"}

    ann, bob, operator = of("ann", "submitter"), of("bob", "submitter"), of("kim", "operator")
    job = client.post(f"{API}/jobs", json={"job": JOB}, headers=ann).json()
    path = f"{API}/jobs/{job['id']}"
    assert job["user"] == "ann"
    refused(client.post(f"{path}/cancel", json={}, headers=bob), 403, "is ann's", "AccessDenied")
    refused(client.delete(path, headers=bob), 403, "is ann's", "AccessDenied")
    refused(client.post(f"{API}/jobs", json={"job": JOB, "priority": 1}, headers=ann), 403, "before others", "AccessDenied")
    assert client.post(f"{path}/cancel", json={}, headers=ann).json()["queue"]["ending"] == "cancelled by ann"
    store.dequeue(job["id"])
    assert client.delete(path, headers=operator).status_code == 200


def test_what_a_killed_server_left_is_gone_an_hour_later(store: Store, home: Home, client: httpx.Client) -> None:
    job_id = with_models(client, a=MODEL).json()["id"]
    old, new = home.submitted / ".incoming-0123456789abcdef", home.submitted / ".incoming-fedcba9876543210"
    for left in (old, new, home.submitted / "removed-0123456789"):
        (left / "nets").mkdir(parents=True)
    for each in (old, home.submitted / "removed-0123456789", home.submitted / job_id):
        os.utime(each, (1.0, 1.0))
    make_app(store, home, settings=Settings())
    assert {path.name for path in home.submitted.iterdir()} == {job_id, new.name}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"job": 1}',
        b'{"job": "a", "more": 1}',
        b'{"job": "a", "files": {"x": "y"}}',
        b'{"job": "a", "priority": 1e400}',
        b'{"job": "a", "until_s": NaN}',
        b'{"job": "\\ud800"}',
        b'{"job": "a", "files": {"\\ud800": "' + b"0" * 64 + b'"}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_job_is_refused(store: Store, client: httpx.Client, body: bytes) -> None:
    answer = client.post(f"{API}/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json().keys() == {"code", "detail"}
    assert store.jobs() == []


def test_html_in_a_name_is_text_in_json(store: Store, client: httpx.Client) -> None:
    store.open_job(replace(kit.JOB, id="html-1", name="<script>alert(1)</script>"), kit.PLAN[:1])
    answer = client.get(f"{API}/jobs/html-1")
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.text)["name"] == "<script>alert(1)</script>"
