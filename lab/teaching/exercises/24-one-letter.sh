# shellcheck shell=bash

WRONG=${NAME:0:LETTER}${NAME:LETTER+1}

break_it() {
  change /etc/nova/nova.conf sed -E "s/^$NAME( *=)/$WRONG\1/"
  restart nova-compute
}

solve() {
  sed -i -E "s/^$WRONG( *=)/$NAME\1/" /etc/nova/nova.conf
  systemctl restart nova-compute
}

# A second line with the right name; the first one stays.
solve_otherwise() {
  local value
  value=$(crudini --get /etc/nova/nova.conf vnc "$WRONG")
  crudini --set /etc/nova/nova.conf vnc "$NAME" "$value"
  systemctl stop nova-compute
  systemctl start nova-compute
}

# The right name in a section that the service does not read for it.
repair_wrongly() {
  crudini --set /etc/nova/nova.conf DEFAULT "$NAME" "$(crudini --get /etc/nova/nova.conf vnc "$WRONG")"
  restart nova-compute
}
