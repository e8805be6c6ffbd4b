#!/usr/bin/env bash
# Installs what the tests need from the Linux distribution, and nothing that is there already:
#   chromium                          the report is opened in a real browser
#   adb                               an independent witness of phones
#   clang-14, android-lib*-dev, ...   adbd, the phone's side, is built from Debian's source package (tests/rig)
#   mksh, toybox, qemu-user-static    what a phone has in /system/bin, for this machine and for ARM
#   openssh-server, openssh-client    boards
#   qemu-system-arm, e2fsprogs        a board with an ARM processor, a kernel and a disk of its own
#   iproute2, iptables, procps        a network link for each device, that can be cut
#   postgresql                        a farm's store in PostgreSQL
#   util-linux                        nothing that the tests started stays when they are killed
# Needs Debian or a relative of it, and root or sudo.  Where that is not so, it says what is missing and exits with 1.
set -uo pipefail

# command or file that shows it is there : package that brings it
libraries=/usr/lib/$(uname -m)-linux-gnu
needed=(
    "chromium:chromium"
    "adb:adb"
    "clang++-14:clang-14"
    "dpkg-source:dpkg-dev"
    "/usr/include/android/android-base/properties.h:android-libbase-dev"
    "/usr/include/android/log/log.h:android-liblog-dev"
    "/usr/include/android/cutils/properties.h:android-libcutils-dev"
    "$libraries/android/libcrypto.so:android-libboringssl-dev"
    "/usr/include/sys/capability.h:libcap-dev"
    "mksh:mksh"
    "toybox:toybox"
    "qemu-aarch64-static:qemu-user-static"
    "qemu-system-aarch64:qemu-system-arm"
    "mke2fs:e2fsprogs"
    "setpriv:util-linux"
    "/usr/sbin/sshd:openssh-server"
    "ssh-keygen:openssh-client"
    "ip:iproute2"
    "iptables:iptables"
    "sysctl:procps"
    "/usr/lib/postgresql/*/bin/initdb:postgresql"
)
there() {
    case $1 in
        /*) compgen -G "$1" >/dev/null ;;
        *) command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] ;;
    esac
}

missing=()
for pair in "${needed[@]}"; do
    there "${pair%%:*}" || missing+=("${pair##*:}")
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
    there "${pair%%:*}" || refuse "apt-get succeeded, but there is still no ${pair%%:*}"
done
echo "system packages: all there"
