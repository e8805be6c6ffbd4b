"""The kinds of values that a profile file holds, each as narrow as its use allows."""

from __future__ import annotations

import itertools
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

# A folder or a lock on a device is part of many command lines: only characters that no shell, no adb service and no SFTP
# server gives a meaning to, and no part that begins with a dash.
_PART = r"[A-Za-z0-9_.][A-Za-z0-9_.-]*"
_FOLDER_PATTERN = rf"^/?{_PART}(/{_PART})*$"
_KERNEL_FILE_PATTERN = r"^/(sys|proc)(/[A-Za-z0-9_.:,@+-]+)+$"
_PROGRAM_PATTERN = r"[A-Za-z0-9_./][A-Za-z0-9_./+-]{0,199}"
_SHELLS = frozenset({"ash", "bash", "csh", "dash", "fish", "ksh", "mksh", "sh", "tcsh", "zsh"})


class Strict(BaseModel):
    """A part of a profile: what it does not know is refused, and it can't be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _shown(value: object) -> str:
    return repr(value)[:80]


def _whole(value: object) -> object:
    # YAML reads 1.0 and `on` as other types than they look; a count must be written as a whole number.
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"a whole number is needed, not {_shown(value)}")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"a number is needed, not {_shown(value)}")
    return value


def _printable(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError("plain text on one line is needed, without blanks around it")
    return value


def _climbs_not(value: str) -> str:
    if {".", ".."} & set(value.split("/")):
        raise ValueError(f"{value[:80]!r} must not have . or .. as a part")
    return value


def _no_kernel_file(value: str) -> str:
    # Of /dev only /dev/shm holds plain files that a lock could be.
    if re.match(r"/(proc|sys|dev(?!/shm/.))/", f"{value}/"):
        raise ValueError(f"{value[:80]!r} is the kernel's; a lock is a plain file, such as /tmp/lutfarm-device.lock")
    return value


def _source(value: str) -> str:
    if "://" in value and not value.startswith("https://"):
        raise ValueError(f"a source is an https address or the name of a document, not {value[:80]!r}")
    return value


def _words(value: object) -> object:
    if not isinstance(value, (list, tuple)):
        raise ValueError(
            f"a command is a list of its words, such as [jetson_clocks, --restore], not {_shown(value)}; no shell reads it"
        )
    return value  # pyright: ignore[reportUnknownVariableType]


def _plain_program(words: tuple[str, ...]) -> tuple[str, ...]:
    if not re.fullmatch(_PROGRAM_PATTERN, words[0]):
        raise ValueError(f"a command must begin with the name or path of a program, not {words[0][:80]!r}")
    return words


def _no_shell(words: tuple[str, ...]) -> tuple[str, ...]:
    for shell, option in itertools.pairwise(words):
        if shell.rsplit("/", 1)[-1] in _SHELLS and option.startswith("-") and "c" in option:
            raise ValueError(f"{shell} {option} would hand a line to a shell; write the words of the command itself")
    return words


def one_or_many(value: object) -> object:
    """A single text stands for a list of one."""
    return (value,) if isinstance(value, str) else value


Whole = Annotated[int, BeforeValidator(_whole)]
Count = Annotated[Whole, Field(ge=1, le=1 << 50)]
Cpu = Annotated[Whole, Field(ge=0, le=65_535)]
Khz = Annotated[Whole, Field(ge=1_000, le=20_000_000)]
Percent = Annotated[Whole, Field(ge=0, le=100)]
Seconds = Annotated[float, BeforeValidator(_number), Field(ge=0, le=86_400, allow_inf_nan=False)]
Celsius = Annotated[float, BeforeValidator(_number), Field(ge=0, le=150, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
Source = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_printable), AfterValidator(_source)]
Folder = Annotated[str, Field(pattern=_FOLDER_PATTERN, max_length=200), AfterValidator(_climbs_not)]
LockFile = Annotated[
    str, Field(pattern=rf"^(/{_PART})+$", max_length=200), AfterValidator(_climbs_not), AfterValidator(_no_kernel_file)
]
KernelFile = Annotated[str, Field(pattern=_KERNEL_FILE_PATTERN, max_length=300), AfterValidator(_climbs_not)]
PropertyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$")]
_Word = Annotated[str, Field(max_length=500), AfterValidator(_printable)]
Command = Annotated[
    tuple[_Word, ...],
    BeforeValidator(_words),
    Field(min_length=1, max_length=50),
    AfterValidator(_plain_program),
    AfterValidator(_no_shell),
]
