# shellcheck shell=bash

break_it() {
  change /etc/memcached.conf sed -E "s/^-l .*/-l 127.0.$SECOND.$OCTET/"
  restart memcached
}

solve() {
  sed -i "s/^-l .*/-l $MANAGEMENT_INTERFACE_IP_ADDRESS/" /etc/memcached.conf
  systemctl restart memcached
}

solve_otherwise() {
  sed -i '/^-l /d' /etc/memcached.conf
  printf -- '-l %s\n' "$MANAGEMENT_INTERFACE_IP_ADDRESS" >>/etc/memcached.conf
  systemctl restart memcached
}

# At every address, also the one that leads out of the lab.
repair_wrongly() {
  sed -i 's/^-l .*/-l 0.0.0.0/' /etc/memcached.conf
  restart memcached
}
