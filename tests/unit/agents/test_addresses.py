"""Addresses: read and written in one place, whatever the transport; what is none is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_agents.address import AdbAddress, Address, LocalAddress, SshAddress, UnknownAddress
from lutfarm_agents.device import Device
from lutfarm_agents.transports.registry import TRANSPORTS, read_address, write_address
from lutfarm_jobs.errors import FarmError, NotReady, SpecError

KEY = "ssh-ed25519 QUJD"
BOARD = {"ssh": "root@10.0.0.2:2222", "key": "/k", "host_key": KEY, "root": "/home/root/.lutfarm", "python": "/usr/bin/python3"}
HOP = {"jump": "anna@[fe80::1]:22", "jump_host_key": KEY}


@pytest.mark.parametrize(
    ("transport", "fields"),
    [
        ("local", {}),
        ("local", {"python": "/usr/bin/python3", "tool:onnxruntime_perf_test": "/opt/perf test"}),
        ("adb", {"serial": "px:5555", "root": "/data/local/tmp/lutfarm", "bundle": "/b.tar"}),
        ("ssh", BOARD),
        ("ssh", BOARD | HOP),
        ("semaphore", {"hill": "3", "root": "x"}),
    ],
)
def test_what_was_stored_is_what_will_be(transport: str, fields: dict[str, str]) -> None:
    address = read_address(transport, fields)
    assert write_address(Device("device", "p", transport, address)) == fields


def test_an_address_is_a_value_of_its_transports_own_kind() -> None:
    board = read_address("ssh", BOARD | HOP)
    assert isinstance(board, SshAddress)
    assert (board.host, board.user, board.port, board.key_file) == ("10.0.0.2", "root", 2222, "/k")
    assert board.host_key is not None
    assert board.host_key.text == KEY
    assert board.jump is not None
    assert (board.jump.host, board.jump.key_file) == ("fe80::1", "/k")
    phone = read_address("adb", {"serial": "px", "tool:tflite_benchmark_model": "/b"})
    assert phone == AdbAddress("px", tools={"tflite_benchmark_model": "/b"})
    assert Device("device", "p", "adb", phone).tools_only
    assert not Device("device", "p", "local", LocalAddress()).tools_only
    assert not Device("device", "p", "ssh", board).tools_only


@pytest.mark.parametrize(
    ("transport", "fields", "kind", "said"),
    [
        ("local", {"serial": "x"}, SpecError, "an address has no field 'serial'; it has root, python, bundle"),
        ("adb", {}, SpecError, "neither a phone's serial number"),
        ("adb", {"serial": "$(id)"}, SpecError, "neither a phone's serial number"),
        ("adb", {"serial": "px", "port": "1"}, SpecError, "no field 'port'; it has serial"),
        ("adb", {"serial": "px", "root": "a"}, SpecError, "its folder 'a' is not an absolute path"),
        ("adb", {"serial": 7}, SpecError, "its field 'serial' is no text"),
        ("adb", {"serial": "x" * 5000}, SpecError, "its field 'serial' is no text of at most 4096"),
        ("ssh", {"ssh": "root@h"}, SpecError, "no host key is recorded"),
        ("ssh", {"ssh": "root@h;id", "host_key": KEY}, SpecError, "is not USER@HOST"),
        ("ssh", {"ssh": "root@h", "host_key": "ssh-ed25519 ?"}, NotReady, "host key .* is none"),
        ("ssh", {"ssh": "root@h", "host_key": KEY, "jump": "j"}, SpecError, "no host key is recorded"),
    ],
)
def test_what_is_no_address_is_refused(transport: str, fields: dict[str, object], kind: type[FarmError], said: str) -> None:
    with pytest.raises(kind, match=said):
        read_address(transport, fields)


def test_an_address_of_a_transport_that_is_not_installed_leads_nowhere() -> None:
    kept = read_address("semaphore", {"hill": "3"})
    assert isinstance(kept, UnknownAddress)
    with pytest.raises(SpecError, match=r"no transport 'semaphore', but local, ssh, adb; .*lutfarm\.transports"):
        TRANSPORTS["semaphore"]


TEXTS = st.dictionaries(
    st.sampled_from(["ssh", "key", "host_key", "jump", "jump_host_key", "serial", "root", "python", "bundle", "tool:x", "y"]),
    st.text(max_size=40) | st.sampled_from([KEY, "root@h", "/a"]) | st.none() | st.integers(),
)


@given(st.sampled_from(["local", "ssh", "adb"]), TEXTS)
def test_whatever_is_stored_it_is_an_address_or_refused(transport: str, fields: dict[str, object]) -> None:
    try:
        found: Address = read_address(transport, fields)
    except FarmError as error:
        assert len(error.detail) < 1000
        return
    written = write_address(Device("device", "p", transport, found))
    assert read_address(transport, written) == found
