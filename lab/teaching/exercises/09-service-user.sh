# shellcheck shell=bash

break_it() {
  case $HOW in
    roles | project)
      batch <<EOF
role remove --project service --user $ACCOUNT admin
role remove --project service --user $ACCOUNT service
EOF
      ;;
    disabled) batch <<<"user set --disable $ACCOUNT" ;;
  esac
  if [[ $HOW == project ]]; then batch <<<"role add --project admin --user $ACCOUNT admin"; fi
  # shellcheck disable=SC2086
  restart $UNITS
}

solve() {
  if [[ $HOW == project ]]; then batch <<<"role remove --project admin --user $ACCOUNT admin"; fi
  if [[ $HOW == disabled ]]; then
    batch <<<"user set --enable $ACCOUNT"
  else
    batch <<EOF
role add --project service --user $ACCOUNT admin
role add --project service --user $ACCOUNT service
EOF
  fi
  # shellcheck disable=SC2086
  systemctl restart $UNITS
}

# The commands of the step, which repair whatever is not so.
solve_otherwise() {
  batch <<EOF
ensure user create --domain default --password ${!SECRET} $ACCOUNT
ensure role add --project service --user $ACCOUNT admin
ensure role add --project service --user $ACCOUNT service
EOF
  # shellcheck disable=SC2086
  systemctl restart $UNITS
}

# A role in the wrong place.
repair_wrongly() {
  batch <<<"role add --domain default --user $ACCOUNT admin"
  # shellcheck disable=SC2086
  restart $UNITS
}
