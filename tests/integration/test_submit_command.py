"""`lutfarm submit` and `job watch` against the API of a farm whose dispatcher does not run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import store_kit as kit
from tests.server_kit import served
from typer.testing import CliRunner, Result

from lutfarm import Farm
from lutfarm.api.answers import JobDetail, JobStanding
from lutfarm.cli import app as cli
from lutfarm.client.remote_farm import RemoteFarm
from lutfarm.home import Home
from lutfarm.records.device_state import DeviceEvent
from lutfarm.records.job import JobCounts
from lutfarm.server.app import make_app
from lutfarm.server.settings import Settings
from lutfarm.store import Store, open_store
from lutfarm_jobs.errors import SpecError, WrongState

JOB = """name: small
workloads: [{operators: [conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu]}]
devices: [desk]
backends: [{runtime: onnxruntime}]
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as found:
        found.put_device(kit.DESK)
        found.put_hello("desk", kit.HELLO, 5.0)
        found.step_device("desk", DeviceEvent("registered"), 5.0)
        yield found


@pytest.fixture
def address(store: Store, tmp_path: Path) -> Iterator[str]:
    with served(make_app(store, Home(tmp_path / "home"), settings=Settings())) as found:
        yield found


def typed(address: str, folder: Path, *args: str) -> Result:
    (folder / "job.yaml").write_text(JOB)
    return CliRunner().invoke(cli, [*args], env={"LUTFARM_SERVER": address}, terminal_width=300)


def only_job(store: Store) -> str:
    ((job, _),) = store.jobs()
    return job.id


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf"])
def test_a_job_that_would_end_at_once_is_refused(address: str, store: Store, tmp_path: Path, hours: str) -> None:
    refused = typed(address, tmp_path, "submit", str(tmp_path / "job.yaml"), f"--within-hours={hours}")
    assert refused.exit_code == 2
    assert "give more than 0, or leave it out" in refused.output
    assert not store.jobs()


def test_whoever_stops_following_is_told_how_to_follow_and_to_end_it(
    address: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(farm: RemoteFarm, name: str) -> Iterator[JobStanding]:
        del farm, name
        raise KeyboardInterrupt

    monkeypatch.setattr(RemoteFarm, "follow", interrupted)
    for args in (("submit", str(tmp_path / "job.yaml"), "--watch"), ("job", "watch", "small")):
        left = typed(address, tmp_path, *args)
        assert left.exit_code == 130
        job_id = only_job(store)
        for said in (f"goes on with {job_id}", f"lutfarm job watch {job_id}", f"lutfarm job cancel {job_id}"):
            assert said in " ".join(left.output.split())
    assert store.job(only_job(store)) is not None
    assert [entry.job_id for entry in store.queue()] == [only_job(store)]


def test_runs_of_other_jobs_are_said_to_be_reused(
    address: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, ended = RemoteFarm.job, JobCounts(measurements=1, runs=12, reused_runs=9, failures=0)

    def job(farm: RemoteFarm, name: str) -> JobDetail:
        return plain(farm, name).model_copy(update={"state": "complete", "counts": ended})

    monkeypatch.setattr(RemoteFarm, "follow", lambda farm, name: iter([job(farm, name)]))
    monkeypatch.setattr(RemoteFarm, "job", job)
    watched = typed(address, tmp_path, "submit", str(tmp_path / "job.yaml"), "--watch")
    assert watched.exit_code == 0, watched.output
    assert "12 runs (9 reused) of 1 measurements" in watched.output


def test_names_that_would_be_another_address_are_refused(address: str) -> None:
    with Farm(address) as farm:
        for name in ("", ".", ".."):
            with pytest.raises(SpecError, match="is no job's name"):
                farm.job(name)


def test_an_ended_job_without_any_run_has_no_table(address: str, store: Store, tmp_path: Path) -> None:
    with Farm(address) as farm:
        typed(address, tmp_path, "submit", str(tmp_path / "job.yaml"))
        job = farm.job("small")
        assert not job.table().entries, "it may come still"
        store.dequeue(job.id)
        store.close_job(job.id, "cancelled", "ann changed her mind")
        with pytest.raises(WrongState, match=r"is cancelled \(ann changed her mind\), and nothing of it was measured"):
            job.table()
    with Farm(home=tmp_path / "home", executor="local") as farm, pytest.raises(WrongState, match="nothing of it was measured"):
        farm.job("small").table()
