#!/usr/bin/env bash
#
# Message queue: RabbitMQ, over which the processes of a service call each other.
#
# Guide: Installation Guide, "Environment: Message queue". One account, openstack, used by every service.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install the packages'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

# Deviation: Erlang's schedulers sleep when there is nothing to do. By default they spin for a while, which on a small
# or emulated machine takes the processor from the services.
# Deviation: patience, for the same machines: three minutes without a heartbeat instead of one, and one for a handshake
# instead of ten seconds. A connection that is given up is opened again, by a service that had no time for the first.
patience='-rabbit heartbeat 180 -rabbit handshake_timeout 60000'
set_line /etc/rabbitmq/rabbitmq-env.conf '^#?SERVER_ADDITIONAL_ERL_ARGS=' \
  "SERVER_ADDITIONAL_ERL_ARGS='+sbwt none +sbwtdcpu none +sbwtdio none $patience'"
calm_queue

heading 'Start the message queue'
# The broker's name is rabbit@HOSTNAME, and its data belong to that name: the host's name is set before the first
# start.
enable_units rabbitmq-server
# A first start that was cut short (a power cut, a kill) leaves half a database or an empty secret, and the broker
# never starts with them. All its data are created again: the queues by the services, the user below.
if ! restart_if_changed rabbitmq-server /etc/rabbitmq/rabbitmq-env.conf /etc/hostname; then
  say 'the message queue does not start with its data: they are put away, and it starts with none'
  systemctl stop rabbitmq-server || true
  rm -rf /var/lib/rabbitmq/mnesia.broken
  if [[ -d /var/lib/rabbitmq/mnesia ]]; then
    mv /var/lib/rabbitmq/mnesia /var/lib/rabbitmq/mnesia.broken
    install -d -o rabbitmq -g rabbitmq -m 0750 /var/lib/rabbitmq/mnesia
  fi
  if [[ ! -s /var/lib/rabbitmq/.erlang.cookie ]]; then rm -f /var/lib/rabbitmq/.erlang.cookie; fi
  restart_if_changed rabbitmq-server /etc/rabbitmq/rabbitmq-env.conf /etc/hostname
fi

heading 'Add the openstack user'
# Deviation: the script gives the password on stdin, because a command line can be read by everybody on the machine.
queue_user openstack "$RABBIT_PASS"

heading 'Permit configuration, write, and read access for the openstack user'
rabbitmqctl set_permissions openstack ".*" ".*" ".*"
