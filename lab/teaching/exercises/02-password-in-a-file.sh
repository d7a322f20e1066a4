# shellcheck shell=bash

break_it() {
  local value right=${!SECRET}
  value=$(crudini --get "$FILE" "$SECTION" "$NAME")
  option "$FILE" "$SECTION" "$NAME" "${value/"$right"/"$right$DIGIT"}"
  # shellcheck disable=SC2086
  restart $UNITS
}

# The value as the step of the guide writes it, with the right password.
solve() {
  local value right=${!SECRET}
  value=$(crudini --get "$FILE" "$SECTION" "$NAME")
  crudini --merge "$FILE" <<EOF
[$SECTION]
$NAME = ${value/"$right$DIGIT"/"$right"}
EOF
  # shellcheck disable=SC2086
  systemctl restart $UNITS
}

# Remove only the digit: before the host in a connection, at the end of a password.
solve_otherwise() {
  sed -i -E "/^\[$SECTION\]/,/^\[/ s/^($NAME *=.*)$DIGIT(@controller.*|)\$/\1\2/" "$FILE"
  # shellcheck disable=SC2086
  systemctl restart $UNITS
}

# The account gets the password of the file: this service works, and all others that use the account do not.
repair_wrongly() {
  local wrong=${!SECRET}$DIGIT
  if [[ $NAME == connection ]]; then
    mariadb <<<"SET PASSWORD FOR '$ACCOUNT'@'%' = PASSWORD('$wrong');"
  else
    batch <<<"user set --password $wrong $ACCOUNT"
  fi
  # shellcheck disable=SC2086
  restart $UNITS
}
