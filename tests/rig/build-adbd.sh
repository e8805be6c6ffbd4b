#!/usr/bin/env bash
# Builds Google's adbd for this machine from Debian's source package, unchanged, and lays it with the libraries
# it needs into one folder.      build-adbd.sh FOLDER
# The source comes through this machine's own apt configuration, with lists and a cache of its own; apt checks signatures.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/objects" "$work/out"
apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
    awk '$NF == "Debian" {print $1, $2, $3, $4}' | sort -u >"$work/sources.list"
[ -s "$work/sources.list" ] || { echo "apt names no Debian repository on this machine" >&2; exit 1; }
apt=(-o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$work/lists"
     -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
apt-get "${apt[@]}" update -qq
(cd "$work" && apt-get "${apt[@]}" source -qq android-platform-tools >/dev/null)
source=$(echo "$work"/android-platform-tools-*/)
core=$source/system/core

adb=(adb adb_io adb_listeners adb_trace adb_unique_fd adb_utils fdevent/fdevent fdevent/fdevent_poll fdevent/fdevent_epoll
     services sockets socket_spec sysdeps/errno transport transport_fd transport_local transport_usb types sysdeps_unix
     sysdeps/posix/network daemon/auth daemon/jdwp_service daemon/usb_dummy daemon/file_sync_service daemon/services
     daemon/shell_service shell_service_protocol daemon/main adbconnection/adbconnection_server)
defines=(-DNDEBUG -DADB_HOST=0 -DALLOW_ADBD_ROOT=1 -DALLOW_ADBD_NO_AUTH -D_GNU_SOURCE
         -DANDROID_BASE_UNIQUE_FD_DISABLE_IMPLICIT_CONVERSION=1 '-DPLATFORM_TOOLS_VERSION="rig"' '-DADB_VERSION="rig"')
includes=(-I/usr/include/android "-I$core/adb" "-I$core/adb/daemon/include" "-I$core/adb/adbconnection/include"
          "-I$core/base/include" "-I$core/include" "-I$core/libcrypto_utils/include" "-I$core/libcutils/include"
          "-I$core/liblog/include" "-I$core/diagnose_usb/include" "-I$core/libasyncio/include"
          "-I$source/frameworks/native/libs/adbd_auth/include")
common=(-O1 -fPIC -w "${defines[@]}" "${includes[@]}")
forced=(-include atomic -include optional -include mutex -include condition_variable -include string)

units=("${adb[@]/#/$core/adb/}" "$core/diagnose_usb/diagnose_usb" "$source/frameworks/native/libs/adbd_auth/adbd_auth"
       "$here/properties")
# xargs puts its pairs last: the compiler's own arguments come through the environment.
export RIG_COMPILE
RIG_COMPILE=$(printf '%q ' clang++-14 -std=gnu++2a "${common[@]}" "${forced[@]}")
for unit in "${units[@]}"; do
    printf '%s\0%s\0' "$unit.cpp" "$work/objects/$(echo "$unit" | tr / _).o"
done | xargs -0 -P "$(nproc)" -n 2 bash -c 'eval "$RIG_COMPILE -c -o \"\$2\" \"\$1\""' compile
clang-14 "${common[@]}" -c -o "$work/objects/android_pubkey.o" "$core/libcrypto_utils/android_pubkey.c"
libraries=/usr/lib/$(gcc -print-multiarch 2>/dev/null || dpkg-architecture -qDEB_HOST_MULTIARCH)/android
clang++-14 -pie -o "$work/out/adbd" "$work"/objects/*.o "-L$libraries" "-Wl,-rpath=$libraries" \
    -lbase -lcutils -llog -lcrypto -lpthread -lresolv -lutil
ldd "$work/out/adbd" | grep -oE '/[^ ]+' | sort -u | xargs -I{} cp -L {} "$work/out/"
mkdir -p "$(dirname "$target")"
staging=$(mktemp -d "$(dirname "$target")/.adbd-XXXXXX")
cp -a "$work/out/." "$staging/"
chmod 755 "$staging"
# Two builders at once: the first in place stays.
mv -T "$staging" "$target" 2>/dev/null || rm -rf "$staging"
