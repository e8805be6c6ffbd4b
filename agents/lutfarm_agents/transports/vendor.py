"""The edge of libraries that bring links: whatever they raise becomes an error of ours, once, here.

Their own exceptions have no common root (paramiko's SFTPError is no SSHException, adb-shell's are fourteen children of
Exception), and paramiko hands over whatever its thread met, a struct.error of a strange packet as well.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress

from lutfarm_agents.sanitize import clean
from lutfarm_jobs.errors import FarmError

LONGEST = 300


@contextmanager
def mapped(become: Callable[[str], FarmError]) -> Generator[None]:
    """What a library's call raises becomes `become(words)`; errors of ours go through."""
    try:
        yield
    except FarmError:
        raise
    except Exception as error:
        raise become(words(error)) from error


def ignored() -> AbstractContextManager[None]:
    """For letting go of what may be broken: nothing that a library raises matters any more."""
    return suppress(Exception)


def words(error: BaseException) -> str:
    """What an exception says, in one line; its name where it says nothing, or nothing that makes sense alone."""
    try:
        said = clean(str(error), LONGEST)
    except (AttributeError, LookupError, TypeError):  # made without its arguments: some have a __str__ that reads them
        said = ""
    name = type(error).__name__
    if not said:
        return name
    return said if isinstance(error, OSError) or " " in said else f"{name}: {said}"
