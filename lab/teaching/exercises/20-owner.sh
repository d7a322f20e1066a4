# shellcheck shell=bash

break_it() {
  chown "$NEW:$NEW" "$WHERE"
  # shellcheck disable=SC2086
  restart $UNITS
}

solve() {
  chown "$OWNER:$GROUP" "$WHERE"
  # shellcheck disable=SC2086
  systemctl restart $UNITS
}

solve_otherwise() {
  chown --recursive "$(id -u "$OWNER"):$(id -g "$OWNER")" "$WHERE"
  # shellcheck disable=SC2086
  systemctl restart $UNITS
}

# Every user may do everything.
repair_wrongly() {
  chmod --recursive 777 "$WHERE"
  # shellcheck disable=SC2086
  restart $UNITS
}
