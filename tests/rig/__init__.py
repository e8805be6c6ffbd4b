"""Phones and boards as real as one machine allows: Google's adbd, OpenSSH's sshd, ARM code; see README.md."""
