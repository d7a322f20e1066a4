#!/bin/busybox sh
# shellcheck shell=dash
#
# tiny-init.sh - /init of the tiny guest, the image of the lab's first instances
#
# An instance without cloud-init: takes a DHCP lease, asks the metadata service who it is, says so in one line on the
# console ("TINY: ip=… instance-id=… hostname=…"), serves a page on port 80 and a shell on both consoles.
/bin/busybox --install -s /bin
export PATH=/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts 2>/dev/null
# nova's command line ends with console=hvc0, for which there is no driver here: /dev/console would be the screen, and
# `openstack console log show` would show nothing.
[ -c /dev/ttyS0 ] && exec </dev/ttyS0 >/dev/ttyS0 2>&1
for module in /lib/modules/*.ko; do insmod "$module"; done
hostname tiny
ip link set lo up
for _ in 1 2 3 4 5; do
  [ -d /sys/class/net/eth0 ] && break
  sleep 1
done
ip link set eth0 up
# Ten minutes each, because on an emulated machine the network's services may still be starting.
for _ in 1 2 3 4 5 6 7 8 9 10; do
  udhcpc -i eth0 -O staticroutes -t 20 -T 3 -n -q -s /etc/udhcpc.sh && break
  echo 'TINY: no dhcp lease yet'
done

# Not wget: busybox 1.35's ends with a segmentation fault on http addresses. Nor nc alone, which waits for an answer
# without end: on a compute node that has just booted, the network agent may cut the connection without a word.
# An answer that is not 200 counts as none: where the service is slow, the proxy before it sends a page about a timeout.
metadata() {
  printf 'GET /latest/meta-data/%s HTTP/1.0\r\nHost: 169.254.169.254\r\n\r\n' "$1" |
    timeout 60 nc 169.254.169.254 80 2>/dev/null | tr -d '\r' |
    awk 'NR == 1 {ok = $2 == 200} body && ok {print} /^$/ {body = 1}'
}
give_up=$(($(date +%s) + 600))
until
  id=$(metadata instance-id)
  name=$(metadata hostname)
  [ "${id#i-}" != "$id" ] && [ -n "$name" ]
do
  id=none
  [ "$(date +%s)" -ge "$give_up" ] && break
  echo 'TINY: no instance-id from the metadata service yet'
  sleep 10
done
[ -n "$name" ] && hostname "${name%%.*}"
echo "TINY: ip=$(ip -4 -o addr show dev eth0 | awk '{print $4}') instance-id=$id hostname=$(hostname)"
echo "TINY: BOOT OK $(cat /proc/uptime)"
mkdir -p /www
echo "hello from $(hostname)" >/www/index.html
httpd -p 80 -h /www
# Not cttyhack, which takes the screen for the console where the kernel has both.
shell_on() {
  while :; do
    setsid sh -c "exec sh </dev/$1 >/dev/$1 2>&1"
    sleep 1
  done
}
shell_on tty1 &
shell_on ttyS0
