# shellcheck shell=bash
#
# A node whose processor is emulated.

# long_turns: long turns for the processes, and every program at its own address.
#
# Deviation: an emulator forgets its translated addresses at each switch to another process. Turns of 20 ms instead of
# 1.5 leave more for the work; a process that has waited for something still runs at once. (6.1 has latency and
# granularity, later kernels a base slice; 5.10 has its knobs elsewhere. A file that is not there is passed over.)
# Deviation: no address space randomization. The emulator keeps its translation of a piece of code by its address; with
# a new one for each process it translates the same libraries again, and a small program takes four times as long.
long_turns() {
  if [[ $LAB_ACCELERATOR == qemu ]]; then
    put_file /etc/tmpfiles.d/lab-scheduler.conf <<EOF
w /proc/sys/kernel/sched_latency_ns - - - - 60000000
w /proc/sys/kernel/sched_min_granularity_ns - - - - 20000000
w /sys/kernel/debug/sched/latency_ns - - - - 60000000
w /sys/kernel/debug/sched/min_granularity_ns - - - - 20000000
w /sys/kernel/debug/sched/base_slice_ns - - - - 20000000
w /proc/sys/kernel/randomize_va_space - - - - 0
EOF
    systemd-tmpfiles --create /etc/tmpfiles.d/lab-scheduler.conf
  fi
}

# calm_agents UNIT…: agents of neutron that look less often whether a program of theirs has ended. Before start_behind.
#
# Deviation: without it each agent wakes up some seventy times a second, which takes an eighth of an emulated processor.
# lib/agents/sitecustomize.py says why.
calm_agents() {
  local unit directory=${LAB_AGENTS:-/usr/local/lib/compute-lab/agents}
  [[ $LAB_ACCELERATOR == qemu ]] || return 0
  mkdir -p "$directory"
  put_file "$directory/sitecustomize.py" <"$LAB_DIR/lib/agents/sitecustomize.py"
  for unit; do
    printf '[Service]\nEnvironment=PYTHONPATH=%s\n' "$directory" | drop_in "$unit" lab-calm
  done
}

# calm_queue: a broker that does not watch epmd, which tells rabbitmqctl where it is. Before it is started.
#
# Deviation: once a minute RabbitMQ before 3.13 starts a second Erlang for it (rabbit_nodes_common:ensure_epmd; its pull
# request 10457), which is more than half of what an idle broker takes. erl_call asks the broker to end its watch.
calm_queue() {
  [[ $LAB_ACCELERATOR == qemu ]] || return 0
  drop_in rabbitmq-server lab-calm <<'EOF'
[Service]
ExecStartPost=-/usr/bin/erl_call -sname rabbit -a 'supervisor terminate_child [rabbit_sup,rabbit_epmd_monitor_sup]'
EOF
  read_units
}
