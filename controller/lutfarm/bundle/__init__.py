"""Bundles: Python and an official runtime as one relocatable folder, built here from Debian packages and wheels.

`recipe` says what goes in, `download` fetches it, `contents` chooses files and checks that no library is missing,
`archive` writes the tar, `inventory` keeps what was built, `build` is the story.  docs/bundle.md is the manual.
"""

from lutfarm.bundle.build import build
from lutfarm.bundle.inventory import shelved

__all__ = ["build", "shelved"]
