"""What others add by entry points: found by name, refused where it is broken or taken twice."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata

import pytest

from lutfarm_jobs.errors import PluginRefused, SpecError
from lutfarm_jobs.registry import Registry
from lutfarm_jobs.runtimes import RUNTIMES, Runtime

GROUP = "lutfarm.shades"


@dataclass(frozen=True)
class Shade:
    level: int


THEIRS = Shade(7)
NO_SHADE = 7


@dataclass(frozen=True)
class Distribution:
    name: str
    version: str


def entry(name: str, value: str, package: str = "lutfarm-more") -> metadata.EntryPoint:
    found = metadata.EntryPoint(name, value, GROUP)
    vars(found)["dist"] = Distribution(package, "1.2")
    return found


@pytest.fixture
def shades(monkeypatch: pytest.MonkeyPatch):
    def make(*entries: metadata.EntryPoint) -> Registry[Shade]:
        monkeypatch.setattr(metadata, "entry_points", lambda *, group: [one for one in entries if one.group == group])
        return Registry(GROUP, "shade", Shade, {"grey": Shade(1), "black": f"{__name__}:THEIRS"})

    return make


def test_ours_and_theirs_are_found_by_name(shades):
    known = shades(entry("white", f"{__name__}:THEIRS"))
    assert known.names() == ("grey", "black", "white")
    assert known.own() == ("grey", "black")
    assert known["grey"] == Shade(1)
    assert known["black"] is known["white"] is THEIRS
    assert dict(known.items()) == {"grey": Shade(1), "black": THEIRS, "white": THEIRS}
    assert known.source("grey") == "lutfarm itself"
    assert known.source("white") == f"lutfarm-more 1.2 (entry point lutfarm.shades: white = {__name__}:THEIRS)"


def test_what_nobody_adds_is_refused_with_what_there_is(shades):
    known = shades()
    assert known.find("pink") is None
    assert "pink" not in known
    with pytest.raises(SpecError, match=r"no shade 'pink', but grey, black; .*entry points lutfarm\.shades") as caught:
        known["pink"]
    assert not isinstance(caught.value, PluginRefused)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("lutfarm_no_such_module:SHADE", r"ModuleNotFoundError.*lutfarm_no_such_module"),
        (f"{__name__}:MISSING", "AttributeError"),
        (f"{__name__}:NO_SHADE", "adds a shade that is a int, not a Shade"),
        (f"{__name__}:Shade", "adds a shade that is a type, not a Shade"),
    ],
)
def test_a_broken_package_is_named_and_breaks_nothing_else(shades, value, said):
    known = shades(entry("white", value))
    assert known["grey"] == Shade(1)
    assert "white" in known.names()
    with pytest.raises(PluginRefused, match=rf"(?s)lutfarm-more 1\.2 \(entry point lutfarm\.shades: white = .*{said}"):
        known["white"]
    with pytest.raises(PluginRefused):
        dict(known.items())


def test_a_name_that_two_add_is_refused_with_both(shades):
    here = f"{__name__}:THEIRS"
    known = shades(entry("grey", here), entry("white", here, "one"), entry("white", here, "two"))
    with pytest.raises(PluginRefused, match=r"'grey' is added by lutfarm itself and lutfarm-more 1\.2 \(entry .*uninstall"):
        known["grey"]
    with pytest.raises(PluginRefused, match=r"'white' is added by one 1\.2 \(entry .* and two 1\.2 \(entry"):
        known["white"]
    assert known["black"] is THEIRS


def test_what_can_be_used_leaves_out_what_is_broken_or_taken_twice(shades):
    known = shades(
        entry("white", f"{__name__}:THEIRS"),
        entry("pink", "no_such_module:THING"),
        entry("red", f"{__name__}:THEIRS", "one"),
        entry("red", f"{__name__}:THEIRS", "two"),
    )
    assert dict(known.usable()) == {"grey": Shade(1), "black": THEIRS, "white": THEIRS}


@pytest.mark.parametrize("name", ["White", "a-b", "", "x" * 41, "../x"])
def test_a_name_that_could_stand_for_something_else_is_refused(shades, name):
    with pytest.raises(PluginRefused, match="has not the form"):
        shades(entry(name, f"{__name__}:THEIRS"))[name]


def test_a_runtime_has_a_backend_or_a_tool():
    with pytest.raises(ValueError, match="a backend or a tool"):
        Runtime("onnx")
    with pytest.raises(ValueError, match="a backend or a tool"):
        Runtime("onnx", backend="a", tool="b:c")


def test_what_the_runner_feeds_has_packages_on_the_device_and_tools_have_none():
    for name, runtime in RUNTIMES.items():
        assert bool(runtime.packages) == bool(runtime.backend), name


def test_what_a_strangers_thing_raises_is_said_to_be_its_and_ours_is_seen_as_it_is(shades):
    known = shades(entry("white", f"{__name__}:THEIRS"))
    with (
        pytest.raises(PluginRefused, match=r"'white', which lutfarm-more 1\.2 .* adds, failed: KeyError: 'x'"),
        known.calling("white"),
    ):
        raise KeyError("x")
    with pytest.raises(SpecError, match=r"^as it is$"), known.calling("white"):
        raise SpecError("as it is")
    with pytest.raises(KeyError), known.calling("grey"):
        raise KeyError("x")
