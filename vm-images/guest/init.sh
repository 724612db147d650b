#!/bin/sh
# First process of the guest: devices, modules, then the agent for as long as the guest lives.
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin HOME=/

mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
exec </dev/console >/dev/console 2>&1

while read -r module; do
    insmod "/lib/modules/$module" || echo "aorta-guest: cannot load $module"
done </etc/guest-modules

ip link set lo up

if grep -qw aorta.probe /proc/cmdline; then
    echo aorta-guest: boots
    poweroff -f
fi

# A job instead of the agent: what it prints goes to the second serial line, its status to both
# the console and QEMU's debug port, which ends the machine.
if [ -e /job/run ]; then
    sh /job/run </dev/null >/dev/ttyS1 2>&1
    status=$?
    echo "aorta-guest: job ended with status $status"
    sync
    printf "\\$(printf %o "$status")" | dd of=/dev/port bs=1 seek=244 conv=notrunc 2>/dev/null
    poweroff -f
fi

while :; do
    sh /agent
done
