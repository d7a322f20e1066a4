# shellcheck shell=bash

INTERFACES=/etc/network/interfaces.d/lab

# rule: the arguments after `iptables -I INPUT`, or -D.
rule() {
  local from
  case $WHERE in
    everywhere) from='! -i lo' ;;
    subnet) from="-s $MANAGEMENT_CIDR -i $MANAGEMENT_INTERFACE" ;;
    interface) from="-i $MANAGEMENT_INTERFACE" ;;
  esac
  printf '%s -p tcp --dport %s -j %s' "$from" "$PORT" "$ANSWER"
}

break_it() {
  # shellcheck disable=SC2046
  iptables -I INPUT $(rule)
  change "$INTERFACES" sed "/^iface $MANAGEMENT_INTERFACE /a\\    $BOOT iptables -I INPUT $(rule)"
}

solve() {
  # shellcheck disable=SC2046
  iptables -D INPUT $(rule)
  sed -i '/iptables -I INPUT/d' "$INTERFACES"
}

# The complete chain, and the line of this port.
solve_otherwise() {
  iptables-save -t filter | grep -v -- "--dport $PORT -j $ANSWER" | iptables-restore
  sed -i "/--dport $PORT /d" "$INTERFACES"
}

# The firewall is off until the next boot.
repair_wrongly() {
  iptables -F INPUT
}

# What a boot does with the interface, without taking it down.
start_again() {
  local line
  iptables-save -t filter | grep -v -- "-A INPUT .*--dport $PORT " | iptables-restore
  while read -r line; do
    # shellcheck disable=SC2086
    ${line#*up }
  done < <(grep 'iptables -I INPUT' "$INTERFACES" || true)
}
