# shellcheck shell=bash

break_it() {
  option /etc/nova/nova.conf DEFAULT my_ip "${MANAGEMENT_INTERFACE_IP_ADDRESS%.*}.$OCTET"
  restart nova-compute
}

solve() {
  crudini --set /etc/nova/nova.conf DEFAULT my_ip "$MANAGEMENT_INTERFACE_IP_ADDRESS"
  systemctl restart nova-compute
}

solve_otherwise() {
  sed -i "s/^my_ip *=.*/my_ip = $MANAGEMENT_INTERFACE_IP_ADDRESS/" /etc/nova/nova.conf
  systemctl stop nova-compute
  systemctl start nova-compute
}

# The node takes the address too: now it has one that is not its own.
repair_wrongly() {
  ip address add "${MANAGEMENT_INTERFACE_IP_ADDRESS%.*}.$OCTET/24" dev "$MANAGEMENT_INTERFACE"
  restart nova-compute
}
