# shellcheck shell=bash

# Blocks without content: the image of the virtual disk on the host stays small.
break_it() {
  local free
  free=$(df --output=avail --block-size=1M / | tail -n 1)
  mkdir -p "$PLACE"
  fallocate --length "$((free - ROOM))M" "$PLACE/$FILE_NAME"
}

solve() {
  rm "$PLACE/$FILE_NAME"
}

solve_otherwise() {
  truncate --size 0 "$PLACE/$FILE_NAME"
}

# The programs are set to ignore it.
repair_wrongly() {
  if [[ -d /etc/rabbitmq ]]; then
    rabbitmqctl set_disk_free_limit 1000 >/dev/null || true
  fi
  if [[ -e /etc/nova/nova-compute.conf ]]; then
    crudini --set /etc/nova/nova.conf DEFAULT reserved_host_disk_mb 0
    restart nova-compute
  fi
}
