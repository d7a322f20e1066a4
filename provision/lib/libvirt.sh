# shellcheck shell=bash
#
# libvirt of a compute node.

# ask_qemu: libvirt knows what the node's QEMU programs can do: nova-compute's first question to it.
#
# libvirt starts each program, asks it, and remembers the answer. It waits without a limit, and nova-compute with it. In
# rare cases QEMU never answers, seen on an emulated processor: one of its threads has taken the connection, another one
# waits for it (accept(2)). Such a program is ended, and asked once more.
ask_qemu() {
  local asking ended tries=5
  while ((tries-- > 0)); do
    virsh --connect qemu:///system capabilities >/dev/null &
    asking=$!
    ended=
    while kill -0 "$asking" 2>/dev/null; do
      sleep "$(poll_interval)"
      if end_silent_qemu; then ended=yes; fi
    done
    wait "$asking" || return
    [[ -n $ended ]] || return 0
  done
  fail 'libvirt cannot learn what QEMU can do: its questions are not answered'
}

# end_silent_qemu: end the programs that libvirt has been asking for five seconds x LAB_WAIT_FACTOR; an answer takes one.
# Fails where there is none. A power cut leaves the file, and its number may be another program's now.
end_silent_qemu() {
  local file pid age command limit found=
  limit=$(scaled 5)
  for file in "${LAB_LIBVIRT:-/var/lib/libvirt}"/qemu/qmp-*/qmp.pid; do
    pid=$(cat "$file" 2>/dev/null) || continue
    read -r age command < <(ps -o etimes=,args= -p "$pid") || continue
    if [[ $command == *qemu*' -machine none,'* ]] && ((age > limit)); then
      say "QEMU has not answered libvirt for $age s: it is ended, and asked again"
      kill -KILL "$pid"
      found=yes
    fi
  done
  [[ -n $found ]]
}
