# shellcheck shell=bash

# Helpers that leave no trace: lib.sh. Passwords are variables, and never arguments of a program.
break_it() {
  change /etc/memcached.conf sed -E "s/^-l .*/-l 127.0.$SECOND.$OCTET/"
  restart memcached
}

# The teacher's answer, in the guide's commands: `lab exercise solve` shows it.
solve() {
  sed -i "s/^-l .*/-l $MANAGEMENT_INTERFACE_IP_ADDRESS/" /etc/memcached.conf
  systemctl restart memcached
}

# Another good repair.
solve_otherwise() {
  sed -i '/^-l /d' /etc/memcached.conf
  printf -- '-l %s\n' "$MANAGEMENT_INTERFACE_IP_ADDRESS" >>/etc/memcached.conf
  systemctl restart memcached
}

# A tempting one that is not good: at every address, also the one that leads out of the lab.
repair_wrongly() {
  sed -i 's/^-l .*/-l 0.0.0.0/' /etc/memcached.conf
  restart memcached
}
