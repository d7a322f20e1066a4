# shellcheck shell=bash

break_it() {
  systemctl --quiet "$HOW" --now "$UNIT"
}

solve() {
  systemctl unmask "$UNIT"
  systemctl enable --now "$UNIT"
}

# The links that `systemctl` makes, by hand.
solve_otherwise() {
  rm -f "/etc/systemd/system/$UNIT.service"
  ln -sf "/lib/systemd/system/$UNIT.service" "/etc/systemd/system/multi-user.target.wants/$UNIT.service"
  systemctl daemon-reload
  systemctl start "$UNIT"
}

# It runs until the next boot, under its own or another name.
repair_wrongly() {
  systemctl start "$UNIT" 2>/dev/null && return
  systemd-run --quiet --unit="$UNIT-again" --property=User=nobody sleep infinity
}
