# shellcheck shell=bash

break_it() {
  option /etc/nova/nova-compute.conf libvirt virt_type "$VALUE"
  restart nova-compute
}

solve() {
  crudini --set /etc/nova/nova-compute.conf libvirt virt_type "$LAB_VIRT_TYPE"
  systemctl restart nova-compute
}

solve_otherwise() {
  sed -i "s/^virt_type *=.*/virt_type = $LAB_VIRT_TYPE/" /etc/nova/nova-compute.conf
  systemctl stop nova-compute
  systemctl start nova-compute
}

# The right value in the file that is read first, and overruled.
repair_wrongly() {
  crudini --set /etc/nova/nova.conf libvirt virt_type "$LAB_VIRT_TYPE"
  restart nova-compute
}
