"""`compare` and `lut validate` as jobs of a served farm: the same words, numbers and exit codes as on this machine."""

from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests import made_models_kit as models
from tests.integration.test_studies import TINY
from tests.server_kit import API, served
from typer.testing import CliRunner, Result

from lutfarm import Farm
from lutfarm.agent_pool.local import LocalPool
from lutfarm.api.answers import JobStanding
from lutfarm.cli import app as cli
from lutfarm.client.remote_farm import RemoteFarm
from lutfarm.execution import device_sync, open_farm, serving, waiting_jobs
from lutfarm.execution.serving import Serving
from lutfarm.execution.sitting import Sitting
from lutfarm.home import Home
from lutfarm.records.device_state import DeviceEvent
from lutfarm.server.app import make_app
from lutfarm.server.intake.kinds import loaded
from lutfarm.server.settings import Settings
from lutfarm.store import Store, open_store
from lutfarm_agents import process_identity
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_agents.testing import Script, ScriptedAgents
from lutfarm_jobs.errors import NothingCompared, SpecError, WrongState
from lutfarm_jobs.run import Failure

OPERATORS = [f"conv_H14_W14_Cin8_Cout{8 * n}_k1_s1_g1_relu" for n in range(1, 4)]
ON_NEW = [f"latency/operator:{name}/new/onnxruntime-cpu-t1-fp32/b1-steady" for name in OPERATORS]
JOB = {
    "name": "c",
    "workloads": [{"operators": OPERATORS}],
    "devices": ["desk"],
    "backends": [{"runtime": "onnxruntime"}],
    "sampling": {"passes": 2},
}
SIDES = ("--a", "device=desk", "--b", "device=new")
A, B = {"device": "desk"}, {"device": "new"}
OF_A_SPACE = {
    "name": "tiny",
    "workloads": [{"space": "space.yaml"}],
    "devices": ["desk"],
    "backends": [{"runtime": "onnxruntime"}],
    "sampling": {"rounds": 3, "passes": 2, "stop": "rounds"},
}
OK, SLOWER, UNDECIDED = 0, 1, 5
MOST_S = 120.0


def with_devices(home: Path) -> Store:
    store = open_store(home)
    for name in ("desk", "new"):
        store.put_device(Device(name, f"generic-linux-{os.uname().machine}", "local", LocalAddress()))
    return store


class Farms:
    """One farm of this machine and one that is served, of equal devices; a dispatcher runs where a test starts one."""

    def __init__(self, folder: Path, store: Store, address: str, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.store, self.address, self._patch = folder, store, address, patch
        self.script = Script()  # of `new`
        self.job(JOB)

    def job(self, content: object) -> None:
        (self.folder / "job.yaml").write_text(json.dumps(content))

    @property
    def scripted(self) -> ScriptedAgents:
        return ScriptedAgents({"desk": Script(), "new": self.script})

    def here(self, *args: str) -> Result:
        self._patch.setattr(open_farm, "LocalPool", functools.partial(LocalPool, agent_factory=self.scripted))
        return CliRunner().invoke(cli, [*args, "--executor", "local", "--home", str(self.folder / "here")], terminal_width=200)

    def there(self, *args: str) -> Result:
        return CliRunner().invoke(cli, [*args], env={"LUTFARM_SERVER": self.address}, terminal_width=200)

    def compare(self, way: Callable[..., Result], *args: str) -> Result:
        return way("compare", str(self.folder / "job.yaml"), *SIDES, *args)

    @contextmanager
    def dispatching(self) -> Generator[None]:
        """Ended in the middle of whatever it does: as far as its jobs know it was killed."""
        ending = threading.Event()

        def dispatch() -> None:
            with closing(LocalPool(state_dir=self.folder / "agents", agent_factory=self.scripted)) as pool:
                holder = str(process_identity.me())
                with closing(Sitting(self.store, pool, self.folder / "models", owner=holder, holder="serve")) as sitting:
                    farm = Serving(self.store, sitting, loaded)
                    while not ending.is_set():
                        farm.turn()

        with ThreadPoolExecutor(1) as threads:
            dispatched = threads.submit(dispatch)
            try:
                yield
            finally:
                ending.set()
            dispatched.result()

    def runs(self, job_id: str) -> list[str]:
        return sorted(run.id for run in self.store.runs(job_id, samples=False))

    def only(self, name: str) -> str:
        (found,) = [job.id for job, _ in self.store.jobs() if job.name == name]
        return found

    def state(self, job_id: str) -> str:
        found = self.store.job(job_id)
        assert found is not None
        return found[0].state

    def until(self, reached: Callable[[], object]) -> None:
        end_s = time.monotonic() + MOST_S
        while not reached():
            assert time.monotonic() < end_s, "it was never reached"
            time.sleep(0.02)


@pytest.fixture
def farms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Farms]:
    monkeypatch.setattr(serving, "LOOK_S", 0.0)
    monkeypatch.setattr(waiting_jobs, "TRY_AGAIN_S", 0.2)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(TINY))
    with closing(with_devices(tmp_path / "here")), closing(with_devices(tmp_path / "served")) as store:
        with served(make_app(store, Home(tmp_path / "served"), settings=Settings())) as address:
            yield Farms(tmp_path, store, address, monkeypatch)


def shape(value: object) -> object:
    """What a document says of which kind, without the numbers that are of the time."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    return [shape(one) for one in value] if isinstance(value, list) else type(value)


def document(result: Result) -> Any:
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("new", "args", "code", "said"),
    [
        (Script(), (), OK, "not slower: the whole interval lies below the margin of 3 %"),
        (Script(latency_ns=110_000), (), SLOWER, "slower: overall, B is slower than A by more than the margin of 3 %"),
        (Script(), ("--margin", "0"), UNDECIDED, "undecided: the interval holds the margin of 0 %"),
        (
            Script(failures=dict.fromkeys(ON_NEW[:2], Failure("OutOfMemory", "40 GB"))),
            (),
            UNDECIDED,
            "2 of 3 workloads are left out, and nothing is known of them",
        ),
    ],
    ids=["equal", "slower", "no margin", "failed"],
)
def test_a_comparison_says_the_same_here_and_there(
    farms: Farms, new: Script, args: tuple[str, ...], code: int, said: str
) -> None:
    farms.script = new
    args = ("--rounds", "4", *args)
    here, here_json = farms.compare(farms.here, *args), farms.compare(farms.here, *args, "--json")
    with farms.dispatching():
        there = farms.compare(farms.there, *args)
        job_id = farms.only("c-compare")
        measured = farms.runs(job_id)
        there_json = farms.compare(farms.there, *args, "--json")
    for result in (here, here_json, there, there_json):
        assert result.exit_code == code, result.output
    assert said in here.output
    assert said in there.output
    assert shape(document(there_json)) == shape(document(here_json))
    for name in ("a", "b", "verdict", "margin", "confidence", "left_out", "pairs", "job_id"):
        assert document(there_json)[name] == document(here_json)[name]
    assert farms.runs(job_id) == measured, "typing it again measures nothing"
    assert farms.state(job_id) == "complete"


def test_what_only_one_side_runs_is_left_out_there_too(farms: Farms) -> None:
    (farms.folder / "a.onnx").write_bytes(models.model([models.node("Relu", "x", "y")]))
    workloads = [*JOB["workloads"], {"models": ["a.onnx"]}]
    farms.job({**JOB, "workloads": workloads, "backends": [{"runtime": "onnxruntime"}, {"runtime": "tflite"}]})
    args = ("compare", str(farms.folder / "job.yaml"), "--a", "runtime=onnxruntime", "--b", "runtime=tflite", "--rounds", "2")
    with farms.dispatching():
        there = farms.there(*args, "--json")
    here = farms.here(*args, "--json")
    assert document(there)["left_out"] == document(here)["left_out"]
    assert list(document(there)["left_out"].values()) == ["only A runs it"]
    assert there.exit_code == here.exit_code == UNDECIDED


def test_a_comparison_beside_other_jobs_has_whole_pairs(farms: Farms) -> None:
    farms.job({**JOB, "name": "beside", "devices": ["desk", "new"], "sampling": {"rounds": 6, "passes": 2, "stop": "rounds"}})
    with RemoteFarm(farms.address) as farm:
        beside = farm.submit(farms.folder / "job.yaml").id
        farms.job(JOB)
        with farms.dispatching():
            found = farms.compare(farms.there, "--rounds", "4", "--json")
            farms.until(lambda: farms.state(beside) == "complete")
    assert found.exit_code == OK, found.output
    assert (document(found)["pairs"], document(found)["lone_rounds"]) == (4, 0)


def test_a_comparison_goes_on_in_pairs_when_its_dispatcher_is_gone(farms: Farms) -> None:
    with RemoteFarm(farms.address) as farm:
        job_id = farm.compare(farms.folder / "job.yaml", A, B, rounds=6).id
        with farms.dispatching():
            farms.until(lambda: len(farms.runs(job_id)) > 3 * len(OPERATORS))
        before = farms.runs(job_id)
        assert farms.state(job_id) == "open"
        with farms.dispatching():
            assert list(farm.follow(job_id))[-1].state == "complete"
        found = farm.comparison(job_id)
    assert (found.pairs, found.lone_rounds) == (6, 0)
    assert set(before) < set(farms.runs(job_id))
    assert len(farms.runs(job_id)) == 2 * 6 * len(OPERATORS), "nothing is measured twice"


def test_more_rounds_go_on_once_it_is_over_and_never_in_silence_before(farms: Farms) -> None:
    with RemoteFarm(farms.address) as farm:
        job_id = farm.compare(farms.folder / "job.yaml", A, B, rounds=2).id
        assert farm.compare(farms.folder / "job.yaml", A, B, rounds=2).id == job_id
        assert [entry.job_id for entry in farms.store.queue()] == [job_id], "the same again is the same"
        with pytest.raises(WrongState, match="with other rounds or another target"):
            farm.compare(farms.folder / "job.yaml", A, B, rounds=4)
        with pytest.raises(NothingCompared):
            farm.comparison(job_id)
        with farms.dispatching():
            farms.until(lambda: farms.state(job_id) == "complete")
            first = farms.runs(job_id)
            assert farm.compare(farms.folder / "job.yaml", A, B, rounds=4).id == job_id
            farms.until(lambda: farms.state(job_id) == "complete")
        assert farm.comparison(job_id).pairs == 4
        assert farm.job(job_id).spec["sampling"]["rounds"] == 4
        assert [row.left for row in farm.why(job_id).devices] == [0, 0]
    assert set(first) < set(farms.runs(job_id))


def test_a_comparison_waits_for_a_side_that_is_out_of_work(farms: Farms) -> None:
    farms.store.step_device("new", DeviceEvent("held", "a new fan"), time.time())
    with RemoteFarm(farms.address) as farm:
        job_id = farm.compare(farms.folder / "job.yaml", A, B, rounds=2).id
        with farms.dispatching():
            farms.until(lambda: any("a new fan" in entry.waiting for entry in farms.store.queue()))
            assert farms.state(job_id) == "open", "half of it is no comparison"
            farms.store.step_device("new", DeviceEvent("released"), time.time())
            farms.until(lambda: farms.state(job_id) == "complete")
        assert farm.comparison(job_id).pairs == 2


def test_a_comparison_that_lost_a_side_in_the_middle_is_not_over(farms: Farms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_sync, "LOOK_S", 0.0)
    with RemoteFarm(farms.address) as farm:
        job_id = farm.compare(farms.folder / "job.yaml", A, B, rounds=500, target=1e-9).id
        with farms.dispatching():
            farms.until(lambda: len(farms.runs(job_id)) > 4 * len(OPERATORS))
            farms.store.step_device("new", DeviceEvent("held", "a new fan"), time.time())
            farms.until(lambda: any("a new fan" in entry.waiting for entry in farms.store.queue()))
            assert farms.state(job_id) == "open"
            before = farm.comparison(job_id).pairs
            assert 2 <= before < 500
            farms.store.step_device("new", DeviceEvent("released"), time.time())
            farms.until(lambda: farm.comparison(job_id).pairs > before)
        assert farms.state(job_id) == "open"


def test_a_comparison_whose_side_is_retired_has_failed(farms: Farms) -> None:
    with RemoteFarm(farms.address) as farm:
        job_id = farm.compare(farms.folder / "job.yaml", A, B, rounds=2).id
    farms.store.step_device("new", DeviceEvent("retired", "its screen broke"), time.time())
    with farms.dispatching():
        farms.until(lambda: farms.state(job_id) == "failed")
    found = farms.store.job(job_id)
    assert found is not None
    assert "its screen broke" in found[0].reason


def test_one_that_somebody_cancels_is_no_verdict(farms: Farms) -> None:
    farms.script = Script(hold_at="measure", release=farms.folder / "release")

    def cancel() -> None:
        farms.until((farms.folder / "release.reached").exists)
        with RemoteFarm(farms.address) as farm:
            farm.cancel(farms.only("c-compare"), "it takes too long")

    with farms.dispatching(), ThreadPoolExecutor(1) as threads:
        cancelled = threads.submit(cancel)
        found = farms.compare(farms.there)
        cancelled.result()
    assert found.exit_code == UNDECIDED
    assert "it takes too long" in found.output
    assert "the same command goes on with it" in found.output


def test_whoever_stops_following_a_comparison_leaves_it_to_the_farm(farms: Farms, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:

        def interrupted(farm: RemoteFarm, name: str) -> Any:
            raise KeyboardInterrupt

        patch.setattr(RemoteFarm, "follow", interrupted)
        left = farms.compare(farms.there, "--rounds", "2")
    job_id = farms.only("c-compare")
    assert left.exit_code == 130
    words = " ".join(left.output.split())
    for said in (f"the farm goes on with {job_id}", f"lutfarm job cancel {job_id}", "the same command goes on following"):
        assert said in words
    with farms.dispatching():
        assert farms.compare(farms.there, "--rounds", "2").exit_code == OK
    assert len(farms.runs(job_id)) == 2 * 2 * len(OPERATORS)


@pytest.mark.parametrize("option", [("--executor", "local"), ("--home", ".")])
def test_options_of_this_machine_are_refused_where_a_farm_measures(farms: Farms, option: tuple[str, str]) -> None:
    for args in (("compare", str(farms.folder / "job.yaml"), *SIDES), ("lut", "validate", "tiny")):
        refused = farms.there(*args, *option)
        assert refused.exit_code == 2
        assert f"{option[0]} {option[1]}" in refused.output
        assert "leave the option out" in refused.output
    assert not farms.store.jobs()


def test_a_validation_says_the_same_here_and_there(farms: Farms) -> None:
    farms.job(OF_A_SPACE)
    assert farms.here("run", str(farms.folder / "job.yaml")).exit_code == OK
    args = ("lut", "validate", "tiny", "--networks", "4", "--calibrate", "5")
    here = farms.here(*args, "--json")
    with RemoteFarm(farms.address) as farm, farms.dispatching():
        table = farm.submit(farms.folder / "job.yaml").id
        farms.until(lambda: farms.state(table) == "complete")
        there = farms.there(*args, "--json")
        study = farms.only("tiny-networks-0")
        measured = farms.runs(study)
        again = farms.there(*args)
        assert len(farm.table(table).manifest.validations) == 1
    assert there.exit_code == here.exit_code == again.exit_code == OK, there.output
    assert shape(document(there)) == shape(document(here))
    assert [n["arch"] for n in document(there)["validations"][0]["networks"]] == [
        n["arch"] for n in document(here)["validations"][0]["networks"]
    ], "the same networks are drawn"
    assert f"job {study}" in there.output
    assert "4 networks: MAPE" in again.output
    assert farms.runs(study) == measured, "typing it again measures nothing"


def test_a_space_of_ones_own_is_sent_for_a_validation(farms: Farms, tmp_path: Path) -> None:
    farms.job({**OF_A_SPACE, "workloads": [{"operators": sorted({*TINY["head"], *TINY["tail"], *OPERATORS_OF_TINY})}]})
    other = tmp_path / "elsewhere"
    other.mkdir()
    (tmp_path / "space.yaml").rename(other / "mine.yaml")
    with RemoteFarm(farms.address) as farm, farms.dispatching():
        table = farm.submit(farms.folder / "job.yaml").id
        farms.until(lambda: farms.state(table) == "complete")
        with pytest.raises(SpecError, match="has no one space"):
            farm.validate("tiny")
        for path in ("elsewhere/mine.yaml", str(other / "mine.yaml")):
            found = farms.there("lut", "validate", "tiny", "--networks", "3", "--space", path)
            assert found.exit_code == OK, found.output
        with pytest.raises(SpecError, match=r"nowhere\.yaml is not at"):
            farm.validate("tiny", space="nowhere.yaml")
        with pytest.raises(SpecError, match="no file's name in a job's folder"):
            farm.validate("tiny", space="/etc/nowhere.yaml")
    assert [job.name for job, _ in farms.store.jobs()].count("tiny-networks-0") == 1


OPERATORS_OF_TINY = sorted(choice["operator"] for choice in TINY["layers"][0]["choices"])


SIDE = {"device": "desk"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "a job is sent as"),
        ({"job": "name: x", "validates": {"job": "x"}}, "a job is sent as"),
        ({"compares": {"a": SIDE, "b": SIDE}}, "a job is sent as"),
        ({"validates": {"job": "x"}, "compares": {"a": SIDE, "b": SIDE}}, "a job is sent as"),
        ({"job": json.dumps(JOB), "compares": {"a": SIDE}}, "compares.b"),
        ({"job": json.dumps(JOB), "compares": {"a": {}, "b": SIDE}}, "a side says device"),
        ({"job": json.dumps(JOB), "compares": {"a": {"devise": "desk"}, "b": SIDE}}, "devise"),
        ({"job": json.dumps(JOB), "compares": {"a": SIDE, "b": {"threads": 0}}}, "threads"),
        ({"job": json.dumps(JOB), "compares": {"a": SIDE, "b": {"device": "new"}, "rounds": 1}}, "rounds"),
        ({"job": json.dumps(JOB), "compares": {"a": SIDE, "b": {"device": "new"}, "target": 0}}, "target"),
        ({"job": json.dumps(JOB), "compares": {"a": SIDE, "b": SIDE}}, "are the same side"),
        ({"job": json.dumps(JOB), "compares": {"a": SIDE, "b": {"device": "nobody"}}}, "no device is registered as 'nobody'"),
        ({"validates": {"job": "nothing"}}, "no job is called 'nothing'"),
        ({"validates": {"job": "x", "networks": 1}}, "networks"),
        ({"validates": {"job": "x", "calibrate": 201}}, "calibrate"),
        ({"validates": {"job": "x", "space": "../../space.yaml"}}, "no file's name in a job's folder"),
    ],
)
def test_a_kind_that_can_not_be_is_refused_with_what_is_wrong(farms: Farms, body: object, said: str) -> None:
    answer = httpx.post(f"{farms.address}{API}/jobs", json=body, timeout=60)
    assert answer.status_code in (404, 422), answer.text
    assert said in answer.json()["detail"]
    assert not farms.store.jobs()
    assert not list((farms.folder / "served" / "submitted").glob("*"))


def test_what_a_job_did_not_come_to_is_refused(farms: Farms) -> None:
    with RemoteFarm(farms.address) as farm:
        job_id = farm.submit(farms.folder / "job.yaml").id
        with pytest.raises(WrongState, match="compares nothing"):
            farm.comparison(job_id)
        with pytest.raises(WrongState, match="validates nothing"):
            farm.validation(job_id)


def test_a_program_compares_and_validates_by_a_home_and_by_a_server_alike(farms: Farms) -> None:
    farms.here("run", "nothing.yaml")  # from now on scripted agents measure for a home
    (farms.folder / "space-job.yaml").write_text(json.dumps(OF_A_SPACE))
    found: list[tuple[Any, Any]] = []
    for way in ({"home": farms.folder / "here", "executor": "local"}, {"url": farms.address}):
        with farms.dispatching(), Farm(**way) as farm:
            standings: list[JobStanding] = []
            pairs = farm.compare(farms.folder / "job.yaml", a=A, b=B, rounds=4, margin=0.05, progress=standings.append)
            assert {now.id for now in standings} == {pairs.job_id}
            assert farm.compare(JOB, a=A, b=B, rounds=4, margin=0.05) == pairs, "it is the same comparison"
            for side in ({"devise": "desk"}, {}, {"threads": 0}):
                with pytest.raises(SpecError, match=r"^a: "):
                    farm.compare(JOB, a=side, b=B)
            for margin in (-0.1, 1.0, float("nan")):
                with pytest.raises(SpecError, match="margin"):
                    farm.compare(JOB, a=A, b=B, margin=margin)
            table = farm.submit(farms.folder / "space-job.yaml")
            table.wait()
            networks = farm.validate("tiny", networks=4).outcome.validations[0].networks
            found.append((pairs, [network.arch for network in networks]))
    (pairs_here, networks_here), (pairs_there, networks_there) = found
    assert (pairs_here.verdict, pairs_here.pairs, pairs_here.margin) == ("not slower", 4, 0.05)
    assert (pairs_there.verdict, pairs_there.pairs, pairs_there.job_id) == ("not slower", 4, pairs_here.job_id)
    assert networks_here == networks_there


def test_a_program_is_told_of_a_comparison_that_broke_off(farms: Farms) -> None:
    farms.script = Script(errors={"measure": ("NotReady", "its fan is off")})
    farms.here("run", "nothing.yaml")
    with Farm(home=farms.folder / "here", executor="local") as farm, pytest.raises(WrongState, match="its fan is off"):
        farm.compare(JOB, a=A, b=B, rounds=4)
