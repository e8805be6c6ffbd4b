"""What goes into a bundle: packages, wheels, and which of their files.  Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lutfarm_agents.provisioning.bundle_layout import PYTHON, Arch
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.runtimes import RUNTIMES, Wheels

RECIPE = 1  # raise it when a change below changes what a bundle holds
CODENAME = "bookworm"  # Debian 12: Python 3.11, glibc 2.36
SUITES = (CODENAME, f"{CODENAME}-updates", f"{CODENAME}-security")
GLIBC = (2, 36)
OLDEST_GLIBC = (2, 17)  # the first that wheels for 64-bit ARM name
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PYTHON_VERSION = "3.11"
STDLIB = f"usr/lib/python{PYTHON_VERSION}"
SITE = "usr/lib/python3/dist-packages"  # where Debian's site.py looks, below the prefix

# Python, and whatever the kept files need of these libraries; the build fails where one is missing.
PACKAGES = (
    "python3.11-minimal",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "zlib1g",
    "libbz2-1.0",
    "liblzma5",
    "libffi8",
    "libexpat1",
)

# No terminal, no network, no database and no build tools on the device.  hashlib has SHA-256 without OpenSSL.
_STDLIB_LEFT_OUT = (
    "sitecustomize.py",
    "*/__pycache__/*",
    "__pycache__/*",
    "test/*",
    "*/test/*",
    "*/tests/*",
    "config-*",
    "*.exe",
    "ensurepip/*",
    "idlelib/*",
    "lib2to3/*",
    "pydoc_data/*",
    "tkinter/*",
    "turtle.py",
    "turtledemo/*",
    "sqlite3/*",
    "curses/*",
    "dbm/*",
    "distutils/*",
    "EXTERNALLY-MANAGED",
    *(
        f"lib-dynload/{name}.*"
        for name in (
            "_ssl",
            "_hashlib",
            "_sqlite3",
            "_curses",
            "_curses_panel",
            "_dbm",
            "_gdbm",
            "readline",
            "nis",
            "_tkinter",
            "_uuid",
            "_crypt",
            "audioop",
            "ossaudiodev",
            "_test*",
            "_ctypes_test",
            "_xx*",
            "xx*",
        )
    ),
)
_WHEELS_LEFT_OUT = (
    "*/tests/*",
    "*/__pycache__/*",
    "*.pyi",
    "*.pxd",
    "*.h",
    "*.c",
    "*.a",
    "*.dist-info/RECORD",
    "*.data/*",
    "numpy/f2py/*",
    "numpy/distutils/*",
    "numpy/_core/include/*",
    "numpy/_core/lib/*",
    "numpy/_pyinstaller/*",
    "numpy/_core/_simd.*",
    "numpy/_core/_*_tests.*",
)

_URI = re.compile(r"(?:https?|ftp|file|copy|mirror(?:\+[a-z]+)?|tor\+https?|ar\+https?):[^\s\[\]]{1,1000}")


@dataclass(frozen=True, slots=True)
class Source:
    """One suite of a mirror, as this machine's own apt knows it."""

    uri: str
    suite: str
    component: str

    def line(self, arch: Arch, keyring: str) -> str:
        """The line of a sources file: signatures are checked against this one keyring."""
        options = f"arch={arch.name} target=Packages signed-by={keyring}"
        return f"deb [{options}] {self.uri} {self.suite} {self.component}"


def sources(listing: str) -> tuple[Source, ...]:
    """Debian 12's suites among the lines that `apt-get indextargets` printed in LISTING_FORMAT."""
    suites: dict[Source, None] = {}
    for line in listing.splitlines():
        match line.split(" "):
            case [uri, release, "main", "Debian", codename] if codename in SUITES and _URI.fullmatch(uri):
                suites[Source(uri, release, "main")] = None
            case _:
                continue
    return tuple(suites)


LISTING_FORMAT = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN) $(CODENAME)"


def apt_configuration(folder: str, arch: Arch) -> str:
    """An apt configuration in which `folder` holds all state.  Read after the machine's own, whose proxies stay.

    The machine's hooks are dropped: they clean and rebuild what belongs to its own apt.
    """
    quoted = folder.replace("\\", "\\\\").replace('"', '\\"')
    values = {
        "APT::Architecture": arch.name,
        "Dir::State": f"{quoted}/state",
        "Dir::State::lists": f"{quoted}/lists",
        "Dir::State::status": f"{quoted}/status",
        "Dir::Cache": f"{quoted}/cache",
        "Dir::Etc::sourcelist": f"{quoted}/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::Log": f"{quoted}/log",
        "APT::Sandbox::User": "root",  # its other user could not write in a private folder
        "APT::Get::AllowUnauthenticated": "false",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowDowngradeToInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false",
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    hooks = ("APT::Update::Pre-Invoke", "APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success", "APT::Architectures")
    cleared = [f"#clear {name};" for name in hooks]
    return "\n".join(
        [*cleared, f'APT::Architectures {{ "{arch.name}"; }};', *(f'{name} "{value}";' for name, value in values.items()), ""]
    )


def platforms(arch: Arch) -> tuple[str, ...]:
    """The wheel tags that run on Debian 12's C library, newest first."""
    major, newest = GLIBC
    tags = [f"manylinux_{major}_{minor}_{arch.machine}" for minor in range(newest, OLDEST_GLIBC[1] - 1, -1)]
    return (*tags, f"manylinux2014_{arch.machine}")


def keeps_of_package(path: str) -> bool:
    """Whether a file of an unpacked Debian package goes into the bundle as it lies; libraries come by need."""
    if path == PYTHON or fnmatchcase(path, "usr/share/doc/*/copyright"):
        return True
    inside = path.removeprefix(f"{STDLIB}/")
    return inside != path and not any(fnmatchcase(inside, pattern) for pattern in _STDLIB_LEFT_OUT)


def wheels_of(runtime: str) -> Wheels:
    """What a bundle of a runtime holds of wheels.  Raises SpecError where none can be made."""
    wheels = RUNTIMES[runtime].wheels
    if wheels is None:
        raise SpecError(f"no bundle can be made with {runtime}, only with {', '.join(bundled())}")
    return wheels


def bundled() -> tuple[str, ...]:
    """The runtimes that a bundle can be made with."""
    return tuple(name for name, runtime in RUNTIMES.usable() if runtime.wheels)


def keeps_of_wheel(path: str, wheels: Wheels) -> bool:
    """Whether a file of a wheel goes into the bundle."""
    return not any(fnmatchcase(path, pattern) for pattern in (*_WHEELS_LEFT_OUT, *wheels.left_out))


def left_out(wheels: Wheels) -> tuple[str, ...]:
    """The patterns of the files that don't go into a bundle."""
    return (*_STDLIB_LEFT_OUT, *_WHEELS_LEFT_OUT, *wheels.left_out)


def distributions(requirements: str) -> tuple[str, ...]:
    """The `name==version` of a requirements file's lines."""
    return tuple(re.findall(r"(?m)^[A-Za-z0-9._-]+==[A-Za-z0-9.]+", requirements))
