# shellcheck shell=bash

break_it() {
  option /etc/nova/nova.conf vnc novncproxy_base_url "http://controller:$PORT/$PAGE"
  restart nova-compute
}

solve() {
  crudini --set /etc/nova/nova.conf vnc novncproxy_base_url http://controller:6080/vnc_auto.html
  systemctl restart nova-compute
}

solve_otherwise() {
  sed -i 's|^novncproxy_base_url *=.*|novncproxy_base_url = http://controller:6080/vnc_auto.html|' /etc/nova/nova.conf
  systemctl stop nova-compute
  systemctl start nova-compute
}

# Consoles for everybody who reaches the node.
repair_wrongly() {
  crudini --set /etc/nova/nova.conf vnc server_listen 0.0.0.0
  restart nova-compute
}
