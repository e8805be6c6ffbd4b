"""Why a folder on a device can't be written, and what to do."""

from __future__ import annotations

from lutfarm_jobs.errors import NotReady

NO_SPACE = "No space left"  # or no inode
QUOTA = "uota exceeded"
READ_ONLY = "Read-only file system"
ANOTHER_ROOT = "register it with another --root"
ANOTHER_HOME = "choose another --home"


def unwritable(folder: str, why: str, *, instead: str = ANOTHER_ROOT) -> NotReady:
    """`why`: what its system said.  `instead`: the way out where nothing can be changed there."""
    said = " ".join(why.split())
    if NO_SPACE in said:
        return NotReady(f"the device's disk is full: {folder} can't be written; free space there")
    if QUOTA in said:
        return NotReady(f"the device's disk is full for this user: its quota is used up in {folder}; free space there")
    if READ_ONLY in said:
        return NotReady(f"{folder} on the device is read-only: mount it writable there (mount -o remount,rw), or {instead}")
    return NotReady(f"{folder} on the device can't be written: {said}; give access to it, or {instead}")


def is_unwritable(why: str) -> bool:
    """Whether that is said of a place, and not of a file."""
    return any(words in why for words in (READ_ONLY, NO_SPACE, QUOTA))
