#!/bin/busybox sh
# What a virtual board does before its first process starts sshd.  Where something fails it switches itself off, and the rig
# shows what it said.
trap '[ $? -eq 0 ] || reboot -f' EXIT
set -e
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm /run/sshd
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
while read -r module; do insmod "/lib/modules/$module.ko"; done </etc/modules
hostname -F /etc/hostname
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
mount -t ext4 /dev/vda /home/board
chmod 700 /home/board /etc/ssh_host_ed25519_key
echo "up after $(cut -d ' ' -f 1 /proc/uptime) s"
