# shellcheck shell=bash

CONF=/etc/ssh/sshd_config.d/$FILE_NAME.conf

# Port 22 stays: the lab reaches the node through it.
break_it() {
  systemctl stop "$UNIT"
  printf 'Port 22\nPort %s\n' "$PORT" >"$CONF"
  sshd -t
  systemctl restart ssh
  restart "$UNIT"
}

# As at a boot, where sshd is the first.
start_again() {
  systemctl stop "$UNIT"
  systemctl restart ssh
  restart "$UNIT"
}

solve() {
  rm "$CONF"
  systemctl restart ssh
  systemctl restart "$UNIT"
}

solve_otherwise() {
  sed -i "/^Port $PORT\$/d" "$CONF"
  systemctl restart ssh
  systemctl stop "$UNIT"
  systemctl start "$UNIT"
}

# It tries again without an end.
repair_wrongly() {
  mkdir -p "/etc/systemd/system/$UNIT.service.d"
  printf '[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\nRestartSec=5\n' \
    >"/etc/systemd/system/$UNIT.service.d/again.conf"
  systemctl daemon-reload
  restart "$UNIT"
}
