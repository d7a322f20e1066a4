# shellcheck shell=bash
#
# Accounts of the message queue.

# queue_user NAME PASSWORD: the account is there and has the password, which `rabbitmqctl` reads from its stdin.
#
# `add_user` is tried before it is asked whether the user is there: each `rabbitmqctl` takes twenty seconds on an
# emulated processor. No --quiet: RabbitMQ 4 counts its arguments to know whether it reads stdin, and with one more would
# wait forever.
queue_user() {
  local name=$1 password=$2
  if rabbitmqctl add_user "$name" <<<"$password" >/dev/null 2>&1; then
    say "user $name: added"
  elif rabbitmqctl authenticate_user "$name" <<<"$password" >/dev/null 2>&1; then
    say "user $name: present, its password is right"
  else
    rabbitmqctl change_password "$name" <<<"$password" >/dev/null
    say "user $name: password set"
  fi
}
