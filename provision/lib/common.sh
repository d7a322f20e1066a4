# shellcheck shell=bash
#
# The helpers of the steps, in one `source`. Nothing happens on source but definitions.
#
#   report.sh     heading, say, fail
#   wait.sh       wait_for, wait_for_step, http_answers
#   packages.sh   install_packages
#   units.sh      enable_units, disable_units, restart_if_changed, restart_if_running, start_if_stopped, start_behind,
#                 start_limit, drop_in, read_units
#   files.sh      put_file, set_line, trim_empty, repair_mode
#   loaded.sh     loaded
#   database.sh   sync_schema
#   guide.sh      guide_commands
#   emulated.sh   long_turns, calm_agents, calm_queue
#   queue.sh      queue_user
#   libvirt.sh    ask_qemu
#   neutron.sh    enable_agents, restart_layer2_agent, restart_layer2_agent_if_running, provider_network

LAB_DIR=${LAB_DIR:-/opt/lab}
LAB_STATE=${LAB_STATE:-/var/lib/lab}
LAB_RUN=${LAB_RUN:-/run/lab}

source "$LAB_DIR/lib/report.sh"
source "$LAB_DIR/lib/wait.sh"
source "$LAB_DIR/lib/packages.sh"
source "$LAB_DIR/lib/units.sh"
source "$LAB_DIR/lib/files.sh"
source "$LAB_DIR/lib/loaded.sh"
source "$LAB_DIR/lib/database.sh"
source "$LAB_DIR/lib/guide.sh"
source "$LAB_DIR/lib/emulated.sh"
source "$LAB_DIR/lib/queue.sh"
source "$LAB_DIR/lib/libvirt.sh"
source "$LAB_DIR/lib/neutron.sh"
