# shellcheck shell=bash

wrong_password() {
  if [[ $WHERE == end ]]; then printf '%s' "$RABBIT_PASS$DIGIT"; else printf '%s' "$DIGIT$RABBIT_PASS"; fi
}

break_it() {
  local value
  value=$(crudini --get "$FILE" DEFAULT transport_url)
  option "$FILE" DEFAULT transport_url "${value/"$RABBIT_PASS"/"$(wrong_password)"}"
  # shellcheck disable=SC2086
  restart $UNITS
}

solve() {
  local value
  value=$(crudini --get "$FILE" DEFAULT transport_url)
  crudini --merge "$FILE" <<EOF
[DEFAULT]
transport_url = ${value/"$(wrong_password)"/"$RABBIT_PASS"}
EOF
  # shellcheck disable=SC2086
  systemctl restart $UNITS
}

solve_otherwise() {
  if [[ $WHERE == end ]]; then
    sed -i -E "s/^(transport_url *=.*)$DIGIT@controller/\1@controller/" "$FILE"
  else
    sed -i -E "s/^(transport_url *= *rabbit:\/\/openstack:)$DIGIT/\1/" "$FILE"
  fi
  # shellcheck disable=SC2086
  systemctl restart $UNITS
}

# The broker takes the password of this file, and no longer that of all the others.
repair_wrongly() {
  rabbitmqctl change_password openstack <<<"$(wrong_password)" >/dev/null
  # shellcheck disable=SC2086
  restart $UNITS
}
