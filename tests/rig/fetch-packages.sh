#!/usr/bin/env bash
# Unpacks Debian packages of an architecture into one folder, beside this machine's own apt: nothing is installed.
#   fetch-packages.sh ARCH FOLDER PACKAGE...        +PACKAGE: not itself, but what it depends on, as the newest kernel's
set -euo pipefail
arch=$1
target=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/state" "$work/out" "$work/packages"
touch "$work/state/status"
apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
    awk '$NF == "Debian" {print $1, $2, $3, $4}' | sort -u >"$work/sources.list"
[ -s "$work/sources.list" ] || { echo "apt names no Debian repository on this machine" >&2; exit 1; }
apt=(-o "APT::Architecture=$arch" -o "APT::Architectures=$arch" -o "Dir::Etc::SourceList=$work/sources.list"
     -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$work/lists" -o "Dir::State::status=$work/state/status"
     -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
apt-get "${apt[@]}" update -qq
packages=()
for name in "$@"; do
    case $name in
        +*) mapfile -t -O "${#packages[@]}" packages < <(apt-cache "${apt[@]}" depends "${name#+}" | sed -n 's/^  Depends: \([a-z0-9].*\)/\1/p') ;;
        *) packages+=("$name") ;;
    esac
done
(cd "$work/packages" && apt-get "${apt[@]}" download -qq "${packages[@]}")
for package in "$work"/packages/*.deb; do dpkg-deb -x "$package" "$work/out"; done
mkdir -p "$(dirname "$target")"
staging=$(mktemp -d "$(dirname "$target")/.packages-XXXXXX")
cp -a "$work/out/." "$staging/"
chmod 755 "$staging"
mv -T "$staging" "$target" 2>/dev/null || rm -rf "$staging"
