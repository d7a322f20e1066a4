# shellcheck shell=bash

break_it() {
  mariadb <<<"REVOKE ALL PRIVILEGES ON \`$DATABASE\`.* FROM '$ACCOUNT'@'%';"
  if [[ $LEFT != nothing ]]; then
    mariadb <<<"GRANT $LEFT ON \`$DATABASE\`.* TO '$ACCOUNT'@'%';"
  fi
  disconnect "$ACCOUNT"
}

# A connection that is open keeps the rights of its database from before: every service that uses the account starts again.
solve() {
  mariadb <<<"GRANT ALL PRIVILEGES ON $DATABASE.* TO '$ACCOUNT'@'%';"
  # shellcheck disable=SC2086
  systemctl restart $UNITS
}

# The guide's own line, with the password.
solve_otherwise() {
  mariadb <<EOF
REVOKE ALL PRIVILEGES, GRANT OPTION FROM '$ACCOUNT'@'%';
EOF
  local each
  for each in $(databases_of "$ACCOUNT"); do
    mariadb <<<"GRANT ALL PRIVILEGES ON $each.* TO '$ACCOUNT'@'%' IDENTIFIED BY '${!SECRET}';"
  done
  # shellcheck disable=SC2086
  systemctl restart $UNITS
}

databases_of() {
  if [[ $1 == nova ]]; then printf 'nova nova_api nova_cell0'; else printf '%s' "$1"; fi
}

# Everything on everything.
repair_wrongly() {
  mariadb <<<"GRANT ALL PRIVILEGES ON *.* TO '$ACCOUNT'@'%';"
  # shellcheck disable=SC2086
  restart $UNITS
}
