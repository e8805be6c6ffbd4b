"""From an address that a person typed to a device that jobs can name: connect, record the host key, find Python, say hello."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from lutfarm.devices.python_choice import NO_PYTHON, choose, fitting, lacks, next_step
from lutfarm.devices.same_hardware import machines_of, twins_of
from lutfarm.devices.ssh_key_file import private_key
from lutfarm.home import Home, require_writable
from lutfarm.records.device_state import DeviceEvent
from lutfarm.store.interface import DeviceStore
from lutfarm_agents.address import AdbAddress, Address, LocalAddress, SshAddress
from lutfarm_agents.device import HERE, Device, Hello
from lutfarm_agents.discovery.shell_facts import ShellFacts, gather
from lutfarm_agents.factory import agent_of
from lutfarm_agents.native_tools.invocation import PATH_PATTERN
from lutfarm_agents.native_tools.path_check import wrong_path
from lutfarm_agents.transports.adb.kind import PHONE_ROOT, checked_serial
from lutfarm_agents.transports.interface import Transport
from lutfarm_agents.transports.kind import checked_root
from lutfarm_agents.transports.registry import TRANSPORTS, open_transport, read_address
from lutfarm_agents.transports.ssh.kind import parse_ssh
from lutfarm_jobs.errors import NotReady, PluginRefused, SpecError
from lutfarm_jobs.extras import extras
from lutfarm_jobs.job_file.fields import NAME_PATTERN
from lutfarm_jobs.runtimes import is_tool, tools
from lutfarm_profiles import DeviceProfile, loader
from lutfarm_profiles.cores import lacking, seen, switch_on, unseen, way_out
from lutfarm_profiles.match_profile import DeviceFacts, Proposal, propose

NOWHERE_YET = "/nowhere-yet"  # a folder on a device whose home is not known


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked for; exactly one of `local`, `adb`, `ssh`, `via`."""

    name: str
    local: bool = False
    adb: str = ""  # SERIAL or HOST:PORT
    ssh: str = ""  # USER@HOST[:PORT]
    via: str = ""  # a transport that another package adds
    address: Mapping[str, str] | None = None  # its fields
    python: str = ""  # on the device; NO_PYTHON: none
    bundle: str = ""  # a bundle's file here, or a runtime's name
    key: str = ""  # a private key file
    jump: str = ""  # USER@HOST[:PORT]
    host_key: str = ""  # the fingerprint that the host must show
    root: str = ""  # a folder on the device
    profile: str = ""
    labels: Mapping[str, str] | None = None
    tools: Mapping[str, str] | None = None  # native tools: runtime -> path on the device
    host: str = HERE  # the host of a served farm on which it hangs
    move: bool = False  # from another host, where it hung before


@dataclass(frozen=True, slots=True)
class Registered:
    """A device that answered, and what it said."""

    device: Device
    hello: Hello
    facts: ShellFacts
    proposal: Proposal  # the profile that fits, and what could not be found out
    fingerprints: tuple[str, ...] = ()  # of the host keys that were recorded
    twins: tuple[str, ...] = ()  # registered devices that are the same hardware

    def remarks(self) -> list[str]:
        """What a person should know of it, a sentence each."""
        name, told = self.device.name, self.proposal
        said: list[str] = []
        if self.device.profile == told.profile and told.undetected:
            said.append(f"its kind is unknown; nobody knows its {', '.join(told.undetected)}: see docs/profiles.md")
        if told.unseen:
            said.append(f"{name}: {unseen(told.unseen)}; {switch_on(told.unseen)}")
        if self.twins:
            said.append(
                f"{name} is the same hardware as {', '.join(self.twins)}: they measure in turns, and in a pool they are no two "
                "devices; lutfarm device retire NAME takes one out"
            )
        kind = loader.load(self.device.profile)
        if lacking(kind, self.hello.cpus):
            said.append(f"{name}: {seen(kind, self.hello.cpus)}; {way_out(kind)}")
        elif told.passed_over:
            said.append(f"{told.passed_over}; so it is {kind.name}, unless you write a profile for it: docs/profiles.md")
        elif self.device.profile != told.profile and not told.generic:
            said.append(f"it looks like {told.profile}; you named {self.device.profile}")
        return said


def register(wanted: Wanted, store: DeviceStore, home: Home, *, say: Callable[[str], None]) -> Registered:
    """Reach the device, hear it and keep it.  `say` is told what happens meanwhile.

    A device is not asked where nothing can be kept of it.  Raises SpecError, LinkError, DeviceError, StoreError.
    """
    if not re.fullmatch(NAME_PATTERN, wanted.name):
        raise SpecError(f"{wanted.name[:80]!r} can't be a device's name: letters, digits, . _ - only, 80 at most")
    if not re.fullmatch(NAME_PATTERN, wanted.host):
        raise SpecError(f"{wanted.host[:80]!r} can't be a host's name: letters, digits, . _ - only, 80 at most")
    known = store.device(wanted.name)
    if known is not None and known.host != wanted.host and not wanted.move:
        raise SpecError(
            f"{wanted.name} is registered on the host {known.host}; if this is the same device and hangs on {wanted.host} now, "
            "say --move; else give it another name"
        )
    require_writable(home)
    found = reach(wanted, home, say=say)
    if reason := keep(store, found.device, found.hello):
        say(f"{wanted.name} stays in maintenance: {reason}; lutfarm device release {wanted.name} gives it back")
    others = [each for each in store.devices() if store.device_record(each.name, time.time()).state != "retired"]
    return replace(found, twins=tuple(twins_of(wanted.name, others, machines_of(store))))


def keep(store: DeviceStore, device: Device, hello: Hello) -> str:
    """A device that answered, registered anew or again: what it was taken out of work for is over, unless a person holds it.

    Why they do; empty where nobody does.
    """
    before = store.device_record(device.name, time.time())
    store.step_device(device.name, DeviceEvent("registered"), time.time())
    store.put_device(device)
    store.put_hello(device.name, hello, time.time())
    store.step_device(device.name, DeviceEvent("seen", boot_id=hello.machine_id), time.time())
    if before.state != "maintenance":
        return ""
    store.step_device(device.name, DeviceEvent("held", before.reason), time.time())
    return before.reason


def greet(device: Device, home: Home) -> Hello:
    """What the device says of itself.  Takes no lock; raises LinkError or DeviceError."""
    with closing(agent_of(device, state_dir=home.agents)) as agent:
        return agent.hello()


def reach(wanted: Wanted, home: Home, *, say: Callable[[str], None]) -> Registered:
    """Reach the device and hear it; nothing is stored.  Raises SpecError, LinkError, DeviceError."""
    if wanted.root:
        checked_root(wanted.root, "--root")
    if [bool(wanted.local), bool(wanted.adb), bool(wanted.ssh), bool(wanted.via)].count(True) != 1:
        ways = "one of --local, --adb SERIAL|HOST:PORT, --ssh USER@HOST[:PORT], --via TRANSPORT"
        raise SpecError(f"say how the device is reached: {ways}")
    device, fingerprints = _addressed(wanted)
    device = replace(device, host=wanted.host)
    for fingerprint in fingerprints:
        say(
            f"host key {fingerprint}: compare it with one of those that the board shows there: "
            "for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done"
        )
    tools = _tools(wanted.tools or {})
    with closing(open_transport(device, home.agents)) as transport:
        facts = gather(transport, wanted.name)
        _look_for(tools, transport, wanted.name, say)
    proposal = propose(device_facts(facts, device.transport), [loader.load(name) for name in loader.names()])
    profile = loader.load(wanted.profile or proposal.profile)
    device = replace(device, profile=profile.name, address=replace(device.address, tools=tools))
    if not device.address.here:
        root = wanted.root or _said(device.address) or _root(wanted, facts, profile.work_dir)
        chosen = choose(
            wanted.name,
            python=wanted.python,
            bundle=wanted.bundle,
            tools=bool(wanted.tools),
            machine=facts.machine,
            pythons=facts.pythons,
            home=home,
        )
        device = replace(device, address=replace(device.address, root=root, **{"python": "", "bundle": "", **chosen}))
    device, hello = _greeted(device, wanted, profile, home, say)
    for remark in hello.remarks:
        say(f"{wanted.name}: {remark}")
    return Registered(device, hello, facts, proposal, tuple(fingerprints))


def _greeted(
    device: Device, wanted: Wanted, profile: DeviceProfile, home: Home, say: Callable[[str], None]
) -> tuple[Device, Hello]:
    """Its hello; from a bundle where the Python that was found there has no runtime and the home has a bundle."""
    if device.address.bundle:
        say(f"copying {Path(device.address.bundle).name[:30]}... where it is not there yet")
    hello = greet(device, home)
    lacking = "" if wanted.tools else lacks(hello, profile.runtimes)
    if not lacking:
        return device, hello
    bundle = fitting(hello.machine, home)
    if device.address.here or wanted.python or device.address.bundle or bundle is None:
        say(f"{device.name}: {lacking}: {next_step(hello, profile.runtimes, home, local=device.address.here)}")
        return device, hello
    say(f"{device.name}: {lacking}, so the bundle with {bundle.runtime} is used; --python names another interpreter")
    address = replace(device.address, python="", bundle=str(bundle.path))
    return _greeted(replace(device, address=address), wanted, profile, home, say)


def _addressed(wanted: Wanted) -> tuple[Device, list[str]]:
    """The device with what is known before anything runs there, and the fingerprints of host keys seen first now."""
    labels = wanted.labels or {}
    if wanted.local:
        if wanted.python == NO_PYTHON:
            raise SpecError("--local: lutfarm's own Python is there; --python none is for phones and boards")
        python = str(Path(wanted.python).expanduser().absolute()) if wanted.python else ""
        return Device(wanted.name, "", "local", LocalAddress(python=python), labels=labels), []
    if wanted.adb:
        host, _, port = wanted.adb.rpartition(":")
        if host and port.isdecimal() and not 0 < int(port[:9]) < 65_536:
            raise SpecError(f"--adb {wanted.adb[:80]}: {port[:20]} is no port; one is a number from 1 to 65535")
        phone = AdbAddress(checked_serial(wanted.adb), root=wanted.root or PHONE_ROOT)
        return Device(wanted.name, "", "adb", phone, labels=labels), []
    if wanted.via:
        return Device(wanted.name, "", wanted.via, _of_a_package(wanted), labels=labels), []
    target = parse_ssh(wanted.ssh)
    key = str(private_key(Path(wanted.key))) if wanted.key else ""
    jump = parse_ssh(wanted.jump) if wanted.jump else None
    target = replace(target, key_file=key, jump=replace(jump, key_file=key) if jump else None)
    with extras():
        from lutfarm_agents.transports.ssh.login import host_keys  # of what only boards need: 0.2 s to import

    shown = host_keys(target)
    if wanted.host_key and shown[-1].fingerprint != wanted.host_key:
        seen = shown[-1].fingerprint
        raise NotReady(f"{target.name} shows the host key {seen}, not {wanted.host_key[:80]}; nothing was recorded")
    hop = replace(target.jump, host_key=shown[0]) if target.jump else None
    board = replace(target, host_key=shown[-1], jump=hop, root=wanted.root or NOWHERE_YET)
    return Device(wanted.name, "", "ssh", board, labels=labels), [key.fingerprint for key in shown]


def _of_a_package(wanted: Wanted) -> Address:
    """Raises SpecError for a transport that is not installed, or has an option of its own."""
    if wanted.via in ("local", "adb", "ssh"):
        raise SpecError(f"--via {wanted.via}: that is --{wanted.via}")
    kind = TRANSPORTS[wanted.via]
    try:
        found = read_address(wanted.via, wanted.address or {})
    except PluginRefused:
        raise
    except SpecError as error:
        raise SpecError(f"--address: {error}") from error
    return replace(found, root=wanted.root or found.root or kind.root or NOWHERE_YET)


def _tools(named: Mapping[str, str]) -> Mapping[str, str]:
    for runtime, path in named.items():
        if not is_tool(runtime) or not re.fullmatch(PATH_PATTERN, path):
            raise SpecError(f"--tool {runtime[:40]}={path[:80]!r}: one of {', '.join(tools())}=/absolute/path/on/the/device")
    return named


def _look_for(tools: Mapping[str, str], transport: Transport, name: str, say: Callable[[str], None]) -> None:
    """Raises SpecError for a tool that is not where it was said to be."""
    for runtime, path in tools.items():
        wrong = wrong_path(transport, path)
        if wrong:
            raise SpecError(f"{name}: --tool {runtime}: {path[:200]} {wrong}")
        if wrong is None:
            say(f"{name}: whether {path[:200]} is there can't be found out; lutfarm device check {name} tries it")


def _said(address: Address) -> str:
    """The folder that the address of another package's transport names itself."""
    return "" if isinstance(address, AdbAddress | SshAddress) or address.root == NOWHERE_YET else address.root


def _root(wanted: Wanted, facts: ShellFacts, work_dir: str) -> str:
    if work_dir.startswith("/"):
        return work_dir
    if not facts.home:
        raise NotReady(f"{wanted.name}: its user has no home folder; name a folder with --root")
    return f"{facts.home.rstrip('/')}/{work_dir}"


def device_facts(facts: ShellFacts, transport: str) -> DeviceFacts:
    """As the profiles are matched."""
    return DeviceFacts(
        machine=facts.machine,
        properties=facts.properties,
        device_tree=facts.device_tree,
        cpu_parts=facts.cpu_parts,
        cores=facts.cores,
        capacities=facts.capacities,
        kinds=facts.kinds,
        off=facts.off,
        memory_bytes=facts.memory_bytes,
        os=facts.os,
        transport=transport,
    )
