#!/bin/busybox sh
# shellcheck shell=dash
#
# proof-init.sh - /init of the proof guest: says one line on the serial console and switches the machine off
#
# Seeing LAB-PROOF-OK means that the accelerator ran a kernel and a program to their end.
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev 2>/dev/null
/bin/busybox echo "LAB-PROOF-OK $(/bin/busybox cat /proc/uptime)" >/dev/ttyS0
/bin/busybox sleep 0.2
/bin/busybox poweroff -f
/bin/busybox reboot -f
