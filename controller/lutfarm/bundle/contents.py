"""Which files a bundle holds: what the recipe keeps, and the libraries that those need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lutfarm.bundle import recipe
from lutfarm.bundle.elf import MAGIC, Elf, read_elf
from lutfarm_agents.provisioning.bundle_layout import PYTHON, Arch
from lutfarm_jobs.errors import SpecError

# What the kernel or the loader itself brings.
_NO_FILE = frozenset({"linux-vdso.so.1"})


def collect(root: Path, site: Path, arch: Arch) -> Mapping[str, Path]:
    """Path in the bundle to file on this host: only regular files, each library under the name it is asked for.

    Raises SpecError where a library is missing, a binary is of another architecture, or Python itself is not there.
    """
    chosen: dict[str, Path] = {}
    chosen.update((name, path) for name, path in _files(root) if recipe.keeps_of_package(name))
    chosen.update((f"{recipe.SITE}/{name}", path) for name, path in _files(site))
    if PYTHON not in chosen:
        raise SpecError(f"the packages of Debian bring no {PYTHON}: this version of lutfarm needs Debian 12's")
    return {**chosen, **_libraries(chosen, _library_index(root, arch), arch)}


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Regular files below a folder; a link that leads out of it, or nowhere, is none."""
    top = folder.resolve()
    for path in sorted(folder.rglob("*")):
        real = path.resolve()
        if real.is_file() and real.is_relative_to(top):
            yield path.relative_to(folder).as_posix(), real


def _library_index(root: Path, arch: Arch) -> Mapping[str, Path]:
    """The libraries of the unpacked packages by file name.  Packages use /lib and /usr/lib for the same folder."""
    libraries: dict[str, Path] = {}
    for folder in (root / "lib" / arch.triplet, root / "usr" / "lib" / arch.triplet):
        for name, path in _files(folder) if folder.is_dir() else ():
            if "/" not in name:
                libraries[name] = path
    return libraries


def _libraries(chosen: Mapping[str, Path], index: Mapping[str, Path], arch: Arch) -> Mapping[str, Path]:
    brought = {Path(name).name for name in chosen}  # wheels find their own by a relative path
    libraries: dict[str, Path] = {arch.loader: _library(arch.loader, "the bundle", index)}
    asking = [*chosen.items(), *libraries.items()]
    while asking:
        name, path = asking.pop()
        for wanted in _needed(name, path, arch):
            if wanted not in brought and wanted not in libraries and wanted not in _NO_FILE:
                libraries[wanted] = _library(wanted, name, index)
                asking.append((wanted, libraries[wanted]))
    return {f"{arch.libraries}/{name}": path for name, path in libraries.items()}


def _library(wanted: str, by: str, index: Mapping[str, Path]) -> Path:
    if wanted not in index:
        raise SpecError(f"{by} needs {wanted}, which none of the bundle's packages has: add its package to the recipe")
    return index[wanted]


def _needed(name: str, path: Path, arch: Arch) -> tuple[str, ...]:
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            return ()
    elf: Elf = read_elf(path.read_bytes(), name)
    if elf.machine != arch.elf_machine:
        raise SpecError(f"{name} is for ELF machine {elf.machine}, not {arch.elf_machine} ({arch.name})")
    return elf.needed
