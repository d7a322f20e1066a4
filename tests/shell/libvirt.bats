#!/usr/bin/env bats
# ask_qemu

load helpers

setup() {
  setup_lab
  export LAB_LIBVIRT=$BATS_TEST_TMPDIR/libvirt CALLS=$BATS_TEST_TMPDIR/calls
  mkdir -p "$LAB_LIBVIRT/qemu"
  source "$LAB_DIR/lib/common.sh"
  stand_in sleep <<<'exec /bin/sleep 0.05'
}

# qemu AGE [COMMAND]: a program that libvirt asks, and that has its age.
qemu() {
  mkdir -p "$LAB_LIBVIRT/qemu/qmp-A"
  bash -c 'exec -a qemu /bin/sleep 60' &
  QEMU=$!
  echo "$QEMU" >"$LAB_LIBVIRT/qemu/qmp-A/qmp.pid"
  stand_in ps <<<"echo '   $1 ${2:-/usr/bin/qemu-system-i386 -S -machine none,accel=tcg}'"
}

teardown() { kill "$QEMU" 2>/dev/null || true; }

@test "where QEMU answers, libvirt is asked once" {
  stand_in virsh <<<'echo "$*" >>"$CALLS"'
  ask_qemu
  [ "$(cat "$CALLS")" = '--connect qemu:///system capabilities' ]
}

# libvirt is asked as long as the program lives; without it it answers.
libvirt_waits() {
  stand_in virsh <<'EOF'
echo asked >>"$CALLS"
file=$LAB_LIBVIRT/qemu/qmp-A/qmp.pid
[[ ! -f $file ]] || while kill -0 "$(cat "$file")" 2>/dev/null; do /bin/sleep 0.05; done
rm -f "$file"
EOF
}

@test "a QEMU that does not answer is ended, and asked again" {
  qemu 6
  libvirt_waits
  run ask_qemu
  [ "$status" = 0 ]
  [[ $output == *'has not answered libvirt for 6 s'* ]]
  [ "$(wc -l <"$CALLS")" -eq 2 ]
  run ! kill -0 "$QEMU"
}

@test "one that has some time left is not ended, on a slow machine for longer" {
  qemu 5
  run ! end_silent_qemu
  kill -0 "$QEMU"
  qemu 44
  LAB_WAIT_FACTOR=9 run ! end_silent_qemu
  kill -0 "$QEMU"
  LAB_WAIT_FACTOR=8 end_silent_qemu
}

@test "another program that has the number of one long gone is left alone" {
  qemu 600 '/usr/sbin/sshd -D'
  run ! end_silent_qemu
  qemu 600 '/usr/bin/qemu-system-x86_64 -S -machine pc-i440fx-5.2,accel=kvm'
  run ! end_silent_qemu
  kill -0 "$QEMU"
}

@test "the answer of a libvirt that fails is the step's" {
  stand_in virsh <<<'echo "no libvirtd" >&2; exit 1'
  run ask_qemu
  [ "$status" = 1 ]
}
