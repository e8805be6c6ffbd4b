#!/usr/bin/env bash
# Installs what the tests need from the Linux distribution, and nothing that is there already:
#   chromium            the report is opened in a real browser
#   qemu-user-static    the arm64 bundle's Python and runtimes are started here
# Needs Debian or a relative of it, and root or sudo.  Where that is not so, it says what is missing and exits with 1.
set -uo pipefail

# command that shows it is there : package that brings it
needed=("chromium:chromium" "qemu-aarch64-static:qemu-user-static")

missing=()
for pair in "${needed[@]}"; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair##*:}")
done
if [ "${#missing[@]}" -eq 0 ]; then
    echo "system packages: all there"
    exit 0
fi

refuse() {
    echo "system packages: missing: ${missing[*]}" >&2
    echo "system packages: $1" >&2
    exit 1
}

command -v apt-get >/dev/null 2>&1 ||
    refuse "there is no apt-get here; install them with this system's own package tool, and run this again"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 ||
        refuse "neither root nor sudo; as root: apt-get install ${missing[*]}"
    as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
fi

echo "system packages: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install=("${as_root[@]}" apt-get install --yes --quiet=2 --no-install-recommends "${missing[@]}")
# Package lists that are old name files that are gone: a first failure is answered with new lists.
if ! "${install[@]}" >/dev/null 2>&1; then
    "${as_root[@]}" apt-get update --quiet=2 || refuse "apt-get update failed: see above"
    "${install[@]}" >/dev/null || refuse "apt-get install failed: see above"
fi
for pair in "${needed[@]}"; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || refuse "apt-get succeeded, but there is still no ${pair%%:*}"
done
echo "system packages: all there"
