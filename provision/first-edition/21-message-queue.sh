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

heading 'Add the openstack user'
# As the guide has it, though a password among the arguments can be read by everybody on the machine.
rabbitmqctl add_user openstack "$RABBIT_PASS" || rabbitmqctl change_password openstack "$RABBIT_PASS"

heading 'Permit configuration, write, and read access for the openstack user'
rabbitmqctl set_permissions openstack ".*" ".*" ".*"
