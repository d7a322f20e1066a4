# shellcheck shell=bash

break_it() {
  option /etc/nova/nova.conf DEFAULT service_down_time "$NUMBER$WORD"
  restart "$UNIT"
}

solve() {
  crudini --set /etc/nova/nova.conf DEFAULT service_down_time 180
  systemctl restart "$UNIT"
}

solve_otherwise() {
  sed -i 's/^service_down_time *=.*/service_down_time = 180/' /etc/nova/nova.conf
  systemctl stop "$UNIT"
  systemctl start "$UNIT"
}

# Without the option the service starts, with a limit that is too short for this lab.
repair_wrongly() {
  crudini --del /etc/nova/nova.conf DEFAULT service_down_time
  restart "$UNIT"
}
