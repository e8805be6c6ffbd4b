"""The ADB transport against Google's adbd, with Debian's adb as a witness."""

from __future__ import annotations

import os
import random
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
from tests.rig.fixtures import needs_rig, phone
from tests.rig.machine import pythons, until
from tests.rig.phone import Phone

from lutfarm_agents.discovery.shell_facts import gather
from lutfarm_agents.transports.adb.keys import signer
from lutfarm_agents.transports.adb.transport import AdbTransport
from lutfarm_agents.transports.interface import RemoteProcess
from lutfarm_jobs.errors import ConnectFailed, LinkError, LinkLost, NotReady, SpecError, Unauthorized

__all__ = ["phone"]
ROOT = "/data/local/tmp/lutfarm"
NOTICED_S = 10.0
NAP = [sys.executable, "-I", "-c", "import time; print('up', flush=True); time.sleep(600)"]


@pytest.fixture
def transport(phone: Phone, tmp_path: Path) -> Iterator[AdbTransport]:
    with closing(AdbTransport(phone.address, root=ROOT, keys=tmp_path / "keys")) as found:
        yield found


def public(keys: Path) -> str:
    return signer(keys).GetPublicKey().decode().strip()


def test_debians_adb_sees_the_same_files_and_processes(phone: Phone, transport: AdbTransport, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "model").write_bytes(content)
    transport.put(tmp_path / "model", f"{ROOT}/witness/a b")
    port = free_port()
    environment = {"ANDROID_ADB_SERVER_PORT": str(port), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def adb(*argv: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["adb", *argv], env=environment, capture_output=True, timeout=60, check=False)

    try:
        assert b"connected" in adb("connect", phone.address).stdout
        back = adb("-s", phone.address, "exec-out", f"cat '{ROOT}/witness/a b'")
        assert back.stdout == content
        assert adb("-s", phone.address, "shell", "exit 7").returncode == 7
        listed = adb("-s", phone.address, "shell", f"ls -l '{ROOT}/witness'").stdout.decode()
        assert listed.splitlines()[-1].startswith("-rw-r--r--")
    finally:
        adb("kill-server")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_the_farms_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    made: list[bytes] = []
    threads = [threading.Thread(target=lambda: made.append(signer(keys).GetPublicKey())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stat.S_IMODE((keys / "adbkey").stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert len(made) == 4
    assert {path.name for path in keys.iterdir()} == {"adbkey", "adbkey.pub"}
    assert signer(keys).GetPublicKey() in made


def test_a_damaged_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "adbkey").write_text("no key")
    (tmp_path / "adbkey.pub").write_text("no key")
    with pytest.raises(NotReady, match="remove it"):
        signer(tmp_path)


def test_unauthorized_is_told_apart_from_offline(tmp_path: Path) -> None:
    needs_rig()
    keys = tmp_path / "keys"
    with Phone("locked", keys=[]) as locked:
        with closing(AdbTransport(locked.address, root=ROOT, keys=keys)) as transport:
            with pytest.raises(Unauthorized, match=r"unauthorized.*press Allow"):
                transport.run(["true"])
            locked.accept([public(keys)])  # somebody pressed it
            assert transport.run(["true"]).code == 0
            locked.accept([])  # the phone asks again after it was restarted
            locked.kill()
            until(locked.answers, "adbd is back")
            with suppress(LinkError, NotReady):
                transport.run(["true"])  # on the connection that died, if nobody noticed yet
            with pytest.raises(Unauthorized, match="unauthorized"):
                transport.run(["true"])
        locked.hold()
        with closing(AdbTransport(locked.address, root=ROOT, keys=keys)) as transport:
            with pytest.raises(ConnectFailed, match="offline"):
                transport.run(["true"])


def test_a_hung_adbd_is_offline_within_ten_seconds(phone: Phone, transport: AdbTransport) -> None:
    phone.stop()
    try:
        began_s = time.monotonic()
        with pytest.raises(ConnectFailed, match="did not answer"):
            transport.run(["true"])
        assert time.monotonic() - began_s < NOTICED_S
    finally:
        phone.go_on()
    assert transport.run(["true"]).code == 0


@pytest.mark.parametrize("fault", ["kill", "cut"])
def test_a_loss_is_noticed_in_time_and_cheaply(phone: Phone, transport: AdbTransport, fault: str) -> None:
    with pytest.raises(LinkLost), transport.spawn(NAP, env={}) as channel:
        assert channel.receive(20.0) == "up"
        cpu_s, began_s = sum(psutil.Process().cpu_times()[:2]), time.monotonic()
        getattr(phone, fault)()
        try:
            channel.receive(60.0)
        finally:
            took_s, burnt_s = time.monotonic() - began_s, sum(psutil.Process().cpu_times()[:2]) - cpu_s
            phone.mend()
    assert took_s < NOTICED_S
    assert burnt_s < 1.0  # adb-shell alone burns all of it
    until(phone.answers, "adbd is back")
    transport.reap()
    assert not [p for p in phone.processes() if "time.sleep(600)" in " ".join(p.cmdline())]


def test_what_a_broken_link_left_is_ended_by_the_next(phone: Phone, transport: AdbTransport) -> None:
    with pytest.raises(LinkLost), transport.spawn(NAP, env={}) as channel:
        assert channel.receive(20.0) == "up"
        phone.hold()
        channel.receive(60.0)
    assert phone.processes()  # nobody could end it
    phone.release()
    assert transport.reap() == 1
    assert not phone.processes()
    assert transport.reap() == 0


def enter(transport: AdbTransport) -> None:
    with transport.spawn(["true"], env={}):
        pass


def test_a_full_phone_is_not_ready_and_keeps_what_it_has(tmp_path: Path) -> None:
    needs_rig()
    with (
        Phone("full", disk_bytes=8 << 20) as full,
        closing(AdbTransport(full.address, root=ROOT, keys=tmp_path / "keys")) as transport,
    ):
        (tmp_path / "small").write_bytes(b"kept")
        transport.put(tmp_path / "small", f"{ROOT}/a")
        (tmp_path / "big").write_bytes(os.urandom(16 << 20))
        with pytest.raises(NotReady, match=r"disk is full: .*MB free, 16.8 MB are needed; free space there"):
            transport.put(tmp_path / "big", f"{ROOT}/a")
        transport.get(f"{ROOT}/a", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"kept"
        assert [path.name for path in full.path(ROOT).iterdir()] == ["a"]
        full.fill_disk("/data/local/tmp")
        with pytest.raises(NotReady, match="disk is full"):
            transport.put(tmp_path / "small", f"{ROOT}/new/b")
        with pytest.raises(NotReady, match=f"disk is full: {ROOT} can't be written; free space there"):
            enter(transport)
        assert not list(full.path(ROOT).glob("running/*"))
        full.free_disk("/data/local/tmp")
        transport.put(tmp_path / "small", f"{ROOT}/new/b")


@pytest.mark.parametrize(
    "serial", ["", "-s", "a b", "$(reboot)", "px;id", "127.0.0.1:5555\n", "x" * 10_000, "1.2.3.4:5555 ", "a'b", '"', "\x1b[31m"]
)
def test_strange_serial_numbers_reach_nothing(tmp_path: Path, serial: str) -> None:
    from lutfarm_agents.address import AdbAddress
    from lutfarm_agents.device import Device
    from lutfarm_agents.transports.registry import open_transport, read_address

    with pytest.raises(SpecError, match="neither a phone's serial number"):
        open_transport(Device("px", "generic-linux-aarch64", "adb", AdbAddress(serial)), tmp_path)
    with pytest.raises(SpecError, match=r"neither a phone's serial number|no text of at most"):
        read_address("adb", {"serial": serial})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n<html>", "does not speak ADB"),
        (b"\0" * 4096, "does not speak ADB"),
        (b"", "offline"),
        (random.Random(7).randbytes(24), "does not speak ADB|offline"),
    ],
)
def test_what_is_no_phone_is_said_to_be_none(tmp_path: Path, answer: bytes, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with closing(AdbTransport(f"127.0.0.1:{server.getsockname()[1]}", root=ROOT, keys=tmp_path)) as transport:
            with pytest.raises(ConnectFailed, match=said):
                transport.run(["true"])
        thread.join()


HOSTILE = {
    "ro.product.model": "Pixel'\"$(touch /tmp/pwned)`id`;\x1b[31m<b>",
    "ro.product.manufacturer": "x" * 10_000,
    "ro.build.version.release": "-n",
    "persist.$(id)": "y",
}


def test_hostile_properties_are_text(tmp_path: Path) -> None:
    needs_rig()
    with (
        Phone("odd", properties=HOSTILE) as odd,
        closing(AdbTransport(odd.address, root=ROOT, keys=tmp_path / "keys")) as transport,
    ):
        facts = gather(transport, "odd")
        assert facts.properties["ro.product.model"].startswith("Pixel'\"$(touch")
        assert "\x1b" not in facts.properties["ro.product.model"]
        assert all(len(value) <= 200 for value in facts.properties.values())
        assert "ro.product.manufacturer" not in facts.properties
        assert not odd.path("/tmp/pwned").exists()


def test_a_service_that_floods_is_cut_off(transport: AdbTransport) -> None:
    with pytest.raises(LinkLost, match="said more than"):
        transport.run(["sh", "-c", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done"])
    assert transport.run(["true"]).code == 0


def test_a_command_that_does_not_end_is_ended(phone: Phone, transport: AdbTransport) -> None:
    with pytest.raises(LinkError, match="did not end within"):
        transport.run(NAP, timeout_s=2.0)
    assert not phone.processes()


def test_twenty_phones_at_once(tmp_path: Path) -> None:
    """Each pushes, spawns and answers; none hears another."""
    needs_rig()
    phones = [Phone(f"many-{number}", bind=pythons()) for number in range(20)]
    said: dict[str, str] = {}
    signer(tmp_path / "keys")
    (tmp_path / "model").write_bytes(os.urandom(1_000_000))

    def use(one: Phone) -> None:
        with closing(AdbTransport(one.address, root=ROOT, keys=tmp_path / "keys")) as transport:
            transport.put(tmp_path / "model", f"{ROOT}/model")
            with transport.spawn(["sh", "-c", 'hostname; read -r line; echo "$line"'], env={}) as channel:
                name = channel.receive(60.0)
                channel.send(f"for {name}")
                said[one.name] = f"{name} {channel.receive(60.0)} {channel.wait(60.0).code}"

    try:
        threads = [threading.Thread(target=lambda p=p: (p.start(), use(p))) for p in phones]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for one in phones:
            one.close()
    assert said == {one.name: f"{one.name} for {one.name} 0" for one in phones}


def test_processes_report_their_bytes(transport: AdbTransport) -> None:
    """The process behind a channel is the protocol that remote channels are built on."""
    process: RemoteProcess = transport._start("echo out; echo err >&2; exit 4")
    assert process.read(10.0) == b"out\n"
    assert process.status(10.0) == 4
    assert process.read(10.0) == b""
    assert process.stderr_tail == "err\n"
    process.close()
