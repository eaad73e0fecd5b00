#!/usr/bin/busybox sh
# A guest's first process: mounts what the tests need, and runs them.
bb=/usr/bin/busybox
$bb mount -t devtmpfs devtmpfs /dev
exec </dev/null >/dev/console 2>&1
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mkdir -p /dev/pts /dev/shm
$bb mount -t devpts devpts /dev/pts
$bb mount -t tmpfs tmpfs /dev/shm
$bb mount -t tmpfs tmpfs /tmp
$bb mount -t debugfs debugfs /sys/kernel/debug
$bb mount -t tracefs tracefs /sys/kernel/tracing
$bb mount -t bpf bpf /sys/fs/bpf
$bb mount -t cgroup2 cgroup2 /sys/fs/cgroup
# The daemon is asked over it.
$bb ifconfig lo 127.0.0.1 up
exec $bb sh /etc/vm/tests
