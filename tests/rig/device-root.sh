#!/bin/bash
# Becomes one device: run inside mount, pid, uts and network namespaces of its own.
#   device-root.sh phone|board FOLDER
# FOLDER holds: name, properties, sys/, boot_id, etc/ (keys, sshd_config), bind (paths to show read-only, one a line),
# adbd (phones: the folder of build-adbd.sh), arm64 (a phone's ARM userland, optional), disk_bytes.
set -euo pipefail
kind=$1 folder=$2
read -r name <"$folder/name"
hostname "$name"
root=$folder/root
mkdir -p "$root"
mount -t tmpfs -o size=64m,mode=755 rig "$root"
mkdir -p "$root"/{proc,dev,sys,etc,tmp,run}
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --bind "$folder/boot_id" "$root/proc/sys/kernel/random/boot_id"
mount --bind "$folder/sys" "$root/sys"             # written from outside: heat, battery, clocks
mount -t tmpfs -o "size=$(cat "$folder/disk_bytes"),mode=1777" rig-tmp "$root/tmp"

shown() {                                          # the host's programs, read-only
    mkdir -p "$root$1"
    mount --bind -o ro "$1" "$root$1"
}
while IFS= read -r path; do [ -z "$path" ] || shown "$path"; done <"$folder/bind"
if [ ! -e "$folder/arm64" ]; then
    [ -e "$root/usr/bin" ] || shown /usr
    for link in bin sbin lib lib32 lib64 libx32; do
        [ ! -L "/$link" ] || [ "$link" = bin ] || cp -P "/$link" "$root/$link"
    done
fi

cp "$folder/init" "$root/run/init"
mkdir "$root/run/rig"
mount --bind "$folder/run" "$root/run/rig"
shell=$(cat "$folder/shell")
chroot=$(command -v chroot)

if [ "$kind" = phone ]; then
    mkdir -p "$root"/{system/bin,data/local/tmp,data/misc/adb,apex/adbd}
    ln -s system/bin "$root/bin"
    mount -t tmpfs -o "size=$(cat "$folder/disk_bytes"),mode=771" rig-data "$root/data/local/tmp"
    mount --bind "$folder/adbd" "$root/apex/adbd"
    mount --bind "$folder/etc" "$root/data/misc/adb"
    if [ -e "$folder/arm64" ]; then                # a binfmt of its own: the machine's is not touched
        mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
        grep '^:qemu-aarch64:' /usr/lib/binfmt.d/qemu-aarch64.conf >/proc/sys/fs/binfmt_misc/register
        mkdir -p "$root"/{lib,usr}
        mount --bind -o ro "$folder/arm64/lib" "$root/lib"
        mount --bind -o ro "$folder/arm64/usr" "$root/usr"
        mount --bind "$folder/cpuinfo" "$root/proc/cpuinfo"
        cp "$folder"/arm64/bin/{mksh,toybox} "$root/system/bin/"
    else
        ln -s ../../usr/bin/mksh ../../usr/bin/toybox "$root/system/bin/"
    fi
    ln -s mksh "$root/system/bin/sh"
    while read -r applet; do [ "$applet" = sh ] || ln -sf toybox "$root/system/bin/$applet"; done <"$folder/applets"
    cp "$folder/getprop" "$root/system/bin/getprop"
    cp "$folder/properties" "$root/system/properties"
    chmod 755 "$root/system/bin/getprop"
    export PATH=/system/bin ANDROID_ROOT=/system ANDROID_DATA=/data RIG_PROPERTIES=/system/properties HOME=/ QEMU_CPU=cortex-a76
    command=(/apex/adbd/ld-linux-x86-64.so.2 --library-path /apex/adbd /apex/adbd/adbd --device_banner device)
else
    cp "$folder"/etc/* "$root/etc/"
    chmod 600 "$root"/etc/ssh_host_*_key
    cp -r /etc/ld.so.cache /etc/nsswitch.conf "$root/etc/" 2>/dev/null || true
    [ ! -e /etc/alternatives ] || { mkdir -p "$root/etc/alternatives"; mount --bind -o ro /etc/alternatives "$root/etc/alternatives"; }
    [ -e "$root/bin" ] || ln -s usr/bin "$root/bin"
    mkdir -p "$root/run/sshd" "$root/home/board"
    mount -t tmpfs -o "size=$(cat "$folder/disk_bytes"),mode=700" rig-home "$root/home/board"
    export PATH=/usr/sbin:/usr/bin HOME=/home/board
    command=(/usr/sbin/sshd -D -e -f /etc/sshd_config)
fi

# Like Android's init and a board's systemd: the daemon is started again, unless the rig holds it down.
unset LANG LC_ALL LD_LIBRARY_PATH PYTHONHOME PYTHONPATH VIRTUAL_ENV
exec "$chroot" "$root" "$shell" /run/init "${command[@]}"
