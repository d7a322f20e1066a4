# shellcheck shell=bash

break_it() {
  mariadb <<<"GRANT $WHAT ON $PLACE TO '$ACCOUNT'@'$FROM';"
}

solve() {
  mariadb <<<"REVOKE $WHAT ON $PLACE FROM '$ACCOUNT'@'$FROM';"
}

# All rights away, then those of the guide.
solve_otherwise() {
  local database databases=$ACCOUNT
  if [[ $ACCOUNT == nova ]]; then databases='nova nova_api nova_cell0'; fi
  mariadb <<<"REVOKE ALL PRIVILEGES, GRANT OPTION FROM '$ACCOUNT'@'$FROM';"
  for database in $databases; do
    mariadb <<<"GRANT ALL PRIVILEGES ON $database.* TO '$ACCOUNT'@'$FROM';"
  done
}

# Nothing is left, not even what the service needs.
repair_wrongly() {
  mariadb <<<"REVOKE ALL PRIVILEGES, GRANT OPTION FROM '$ACCOUNT'@'$FROM';"
}
