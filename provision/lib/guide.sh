# shellcheck shell=bash
#
# Commands of the guide that are kept as the guide has them.

# guide_commands <<EOF: the guide's `openstack` commands, one in a line, all of them through one client. What they create
# may be there already: it is compared then, and repaired.
#
# Deviation: the client is loaded once, which takes ten seconds on an emulated processor. It reads the commands from its
# stdin, because the arguments of a program, and a password among them, can be read by everybody on the machine.
guide_commands() {
  sed -E 's/^openstack //; s/^((user|service|endpoint|project) create|role add) /ensure &/' |
    "$LAB_DIR/lib/openstack-batch"
}
