"""The private key file that a person names: whether it can be one at all, before anything is connected."""

from __future__ import annotations

import re
from pathlib import Path

from lutfarm_jobs.errors import SpecError

PUBLIC = re.compile(rb"\s*(?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+ |-----BEGIN [A-Z0-9 ]*PUBLIC KEY|---- BEGIN SSH2 PUBLIC KEY")
PRIVATE = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
HEAD_BYTES = 16_384  # a comment may stand before the key


def private_key(given: Path, *, option: str = "--key") -> Path:
    """Its absolute path.  Raises SpecError where it can't be read, or is no private key."""
    path = given.expanduser().absolute()
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise SpecError(f"{option} {given}: {error.strerror}; name a private key file that can be read") from error
    if PUBLIC.match(head):
        other = f", such as {given.with_suffix('')}" if given.suffix == ".pub" else ""
        raise SpecError(f"{option} {given} is the public half of a key; name the private one{other}")
    if not PRIVATE.search(head):
        raise SpecError(f"{option} {given} is no private key of OpenSSH or PEM; name one that ssh-keygen has made")
    return path
