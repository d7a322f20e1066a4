# shellcheck shell=bash

LAB_CONF=/etc/chrony/conf.d/lab.conf

break_it() {
  change "$LAB_CONF" sed -E "s/^server +[^ ]+/server $SOURCE.$OCTET/"
  systemctl stop chrony
  date --set "-$MINUTES minutes" >/dev/null
  systemctl start chrony
}

solve() {
  sed -i -E 's/^server +[^ ]+/server controller/' "$LAB_CONF"
  systemctl restart chrony
}

# The right source in addition to the wrong one.
solve_otherwise() {
  printf 'server controller iburst minpoll 2 maxpoll 6\n' >/etc/chrony/conf.d/right.conf
  systemctl restart chrony
}

# The clock is right for now.
repair_wrongly() {
  date --set "+$MINUTES minutes" >/dev/null
}
