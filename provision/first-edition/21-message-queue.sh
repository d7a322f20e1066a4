#!/usr/bin/env bash
#
# Message queue, to the letter of the guide: RabbitMQ, over which the processes of a service call each other.
#
# Guide: Installation Guide, "Environment: Message queue".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install and configure components'
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
# The broker is named after the host, and its data belong to that name: the host has its name before the first start.
# shellcheck disable=SC2086
enable_units $LAB_UNITS
restart_if_changed rabbitmq-server /etc/rabbitmq/rabbitmq-env.conf /etc/hostname

heading 'Add the openstack user'
# Deviation: the script gives the password on stdin, because a command line can be read by everybody on the machine.
queue_user openstack "$RABBIT_PASS"

heading 'Permit configuration, write, and read access for the openstack user'
rabbitmqctl set_permissions openstack ".*" ".*" ".*"
