#!/usr/bin/busybox sh
# Runs the tests in a guest that is up, says how it went in lines that begin with "vm:", and switches
# the machine off.
bb=/usr/bin/busybox
echo "vm: booted $($bb uname -r)"
export PATH=/usr/bin:/usr/sbin HOME=/ LANG=C.UTF-8
while read -r line; do
    export "$line"
done </etc/vm/environment
cd /
# shellcheck disable=SC2046 # one word each
/usr/bin/live --ignored --test-threads=1 --show-output $($bb cat /etc/vm/filters)
echo "vm: tests ended with $?"
$bb poweroff -f
