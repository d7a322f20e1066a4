# shellcheck shell=bash

break_it() {
  case $HOW in
    other-address) change /etc/hosts sed -E "s/^$CONTROLLER_IP([[:space:]])/${CONTROLLER_IP%.*}.$OCTET\1/" ;;
    other-name) change /etc/hosts sed -E "s/^(${CONTROLLER_IP}[[:space:]].*)controller/\1controler/" ;;
    no-line) change /etc/hosts sed "/^${CONTROLLER_IP}[[:space:]]/d" ;;
  esac
  restart nova-compute
}

solve() {
  sed -i -E '/[[:space:]]controll?er( |$)/d' /etc/hosts
  printf '%s controller\n' "$CONTROLLER_IP" >>/etc/hosts
  systemctl restart nova-compute
}

# The file as the guide's chapter makes it.
solve_otherwise() {
  cat "$LAB_DIR/hosts" >/etc/hosts
  systemctl restart nova-compute
}

# The name is avoided in the one file that complained.
repair_wrongly() {
  sed -i "s/controller/$CONTROLLER_IP/g" /etc/nova/nova.conf
  restart nova-compute
}
