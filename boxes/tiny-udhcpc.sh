#!/bin/busybox sh
# shellcheck shell=dash disable=SC2154
#
# tiny-udhcpc.sh - what the tiny guest does with a DHCP lease (udhcpc's script; its variables come from udhcpc)
#
# Sets the address, the default route and the classless static routes: neutron's DHCP agent sends the way to the
# metadata service as one of those (option 121).
case "$1" in
  bound | renew)
    ip addr flush dev "$interface"
    ip addr add "$ip/${mask:-24}" dev "$interface"
    for gateway in $router; do
      ip route add default via "$gateway" dev "$interface" 2>/dev/null && break
    done
    # pairs: network/length gateway network/length gateway …
    # shellcheck disable=SC2086
    set -- $staticroutes
    while [ $# -ge 2 ]; do
      if [ "$2" = 0.0.0.0 ]; then
        ip route replace "$1" dev "$interface"
      else
        ip route replace "$1" via "$2" dev "$interface" 2>/dev/null
      fi
      shift 2
    done
    ;;
esac
exit 0
