# shellcheck shell=bash

break_it() {
  mariadb <<<"ALTER USER '$ACCOUNT'@'%' $HOW;"
  disconnect "$ACCOUNT"
}

# A new password ends the expiry, also the same one again.
solve() {
  mariadb <<<"ALTER USER '$ACCOUNT'@'%' ACCOUNT UNLOCK;"
  mariadb <<<"SET PASSWORD FOR '$ACCOUNT'@'%' = PASSWORD('${!SECRET}');"
  # shellcheck disable=SC2086
  systemctl restart $UNITS
}

# The account again, as the guide makes it.
solve_otherwise() {
  local database databases=$ACCOUNT
  if [[ $ACCOUNT == nova ]]; then databases='nova nova_api nova_cell0'; fi
  mariadb <<<"DROP USER '$ACCOUNT'@'%';"
  for database in $databases; do
    mariadb <<<"GRANT ALL PRIVILEGES ON $database.* TO '$ACCOUNT'@'%' IDENTIFIED BY '${!SECRET}';"
  done
  # shellcheck disable=SC2086
  systemctl restart $UNITS
}

# Rights do not help an account that may not log in, and here they are too many.
repair_wrongly() {
  mariadb <<<"GRANT ALL PRIVILEGES ON *.* TO '$ACCOUNT'@'%';"
  # shellcheck disable=SC2086
  restart $UNITS
}
