"""Fetches Debian packages and wheels into a folder, beside and not into the machine's own apt state."""

from __future__ import annotations

import platform
import sys
import zipfile
from collections.abc import Mapping
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from lutfarm.bundle import recipe
from lutfarm.bundle.host_tools import OTHERWISE, run, tool
from lutfarm_agents.provisioning.bundle_layout import Arch
from lutfarm_jobs.errors import SpecError, TransferFailed
from lutfarm_jobs.runtimes import Wheels


def check_host(folder: Path) -> tuple[recipe.Source, ...]:
    """The Debian 12 suites that this machine's apt knows.

    Raises SpecError where it is no such machine; its message says what is missing and where else to build.
    """
    if sys.platform != "linux":
        raise SpecError(f"bundles are made with Debian's own tools, not on {platform.system()}: {OTHERWISE}")
    apt, _ = tool("apt-get"), tool("dpkg-deb")
    if not Path(recipe.KEYRING).is_file():
        raise SpecError(f"{recipe.KEYRING} is not here, so signatures can't be checked: install debian-archive-keyring")
    if find_spec("pip") is None:
        raise SpecError(f"{sys.executable} has no pip, which fetches the wheels: `python -m ensurepip`")
    if any(character in str(folder) for character in '"\\\n{};'):
        raise SpecError(f"apt can't work in {str(folder)!r}: choose a --home without quotes, backslashes, braces and semicolons")
    # Nothing of the machine is written: without names for the caches apt keeps none.
    listing = run(
        [
            apt,
            "-o",
            "Dir::Cache::pkgcache=",
            "-o",
            "Dir::Cache::srcpkgcache=",
            "indextargets",
            "--format",
            recipe.LISTING_FORMAT,
            "Created-By: Packages",
        ],
        cwd=folder,
        what="asking apt for its mirrors",
    )
    suites = recipe.sources(listing)
    if not suites:
        raise SpecError(
            f"apt knows no suite of Debian 12 ({recipe.CODENAME}) here: "
            f"if this is Debian 12, run `apt-get update` once; else {OTHERWISE}"
        )
    return suites


def lists(folder: Path, arch: Arch, suites: tuple[recipe.Source, ...]) -> None:
    """Fetch the package lists of one architecture; apt checks their signatures."""
    for name in ("state", "lists/partial", "cache/archives/partial", "log", "debs"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text("".join(f"{suite.line(arch, recipe.KEYRING)}\n" for suite in suites))
    (folder / "apt.conf").write_text(recipe.apt_configuration(str(folder), arch))
    run([tool("apt-get"), "-c", str(folder / "apt.conf"), "update"], cwd=folder, what="apt-get update")


def packages(folder: Path, arch: Arch) -> tuple[Path, Mapping[str, str]]:
    """Fetch and unpack; returns the root of the unpacked files, and each package's version.  `lists` came before."""
    debs, root = folder / "debs", folder / "root"
    names = [f"{name}:{arch.name}" for name in recipe.PACKAGES]
    run([tool("apt-get"), "-c", str(folder / "apt.conf"), "download", *names], cwd=debs, what="apt-get download")
    root.mkdir()
    versions: dict[str, str] = {}
    for deb in sorted(debs.glob("*.deb")):
        shown = run([tool("dpkg-deb"), "--show", "--showformat", "${Package} ${Version}", str(deb)], cwd=debs, what="dpkg-deb")
        name, _, version = shown.strip().partition(" ")
        versions[name] = version
        run([tool("dpkg-deb"), "--extract", str(deb), str(root)], cwd=debs, what=f"unpacking {name}")
    if missing := set(recipe.PACKAGES) - set(versions):
        raise TransferFailed(f"apt-get download brought no {', '.join(sorted(missing))}; run it again")
    return root, versions


def requirements(runtime: str) -> str:
    """The pinned wheels of one runtime, with the hashes of all architectures."""
    package, _, name = recipe.wheels_of(runtime).requirements.partition(":")
    return (resources.files(package) / name).read_text(encoding="utf-8")


def wheels(folder: Path, arch: Arch, runtime: str) -> tuple[Path, Mapping[str, str]]:
    """Fetch the wheels and unpack what is kept of them; returns the folder, and each distribution's version.

    pip refuses a wheel whose hash is not the pinned one, and takes its index from its own configuration.
    """
    wanted, target, site = folder / "requirements.txt", folder / "wheels", folder / "site"
    wanted.write_text(requirements(runtime), encoding="utf-8")
    target.mkdir()
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    argv += ["--require-hashes", "--only-binary=:all:", "--no-deps", "--implementation", "cp"]
    argv += ["--python-version", recipe.PYTHON_VERSION]
    argv += [word for tag in recipe.platforms(arch) for word in ("--platform", tag)]
    run([*argv, "--dest", str(target), "--requirement", str(wanted)], cwd=folder, what="pip download")
    versions: dict[str, str] = {}
    for wheel in sorted(target.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        versions[name.replace("_", "-")] = version
        _unpack(wheel, site, recipe.wheels_of(runtime))
    return site, versions


def _unpack(wheel: Path, site: Path, wheels: Wheels) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            if not info.is_dir() and recipe.keeps_of_wheel(info.filename, wheels):
                archive.extract(info, site)  # never outside: zipfile drops `..` and leading slashes
