#!/usr/bin/env bats
# enable_units, disable_units, start_if_stopped, restart_if_changed, start_behind

load helpers

# A systemd of files: $UNITS/NAME.active holds the time of the unit's start, $UNITS/NAME.enabled is there when it is enabled.
setup() {
  setup_lab
  export UNITS=$BATS_TEST_TMPDIR/units CALLS=$BATS_TEST_TMPDIR/calls
  mkdir -p "$UNITS"
  : >"$CALLS"
  stand_in systemctl <<'EOF'
words=()
for word; do [[ $word == --* ]] || words+=("$word"); done
verb=${words[0]}
units=("${words[@]:1}")
case $verb in
is-active) [[ -e $UNITS/${units[0]}.active ]] ;;
is-enabled)
  rc=1
  for unit in "${units[@]}"; do
    if [[ -e $UNITS/$unit.masked ]]; then echo masked
    elif [[ -e $UNITS/$unit.enabled ]]; then echo enabled; rc=0
    else echo disabled; fi
  done
  exit $rc
  ;;
show) cat "$UNITS/${units[0]}.active" ;;
enable) printf 'enable %s\n' "${units[*]}" >>"$CALLS"; for u in "${units[@]}"; do touch "$UNITS/$u.enabled"; done ;;
unmask) printf 'unmask %s\n' "${units[*]}" >>"$CALLS"; for u in "${units[@]}"; do rm "$UNITS/$u.masked"; done ;;
disable) printf 'disable %s\n' "${units[*]}" >>"$CALLS"; rm -f "$UNITS/${units[0]}".* ;;
start | restart)
  printf '%s %s\n' "$verb" "${units[*]}" >>"$CALLS"
  [[ ! -e $UNITS/broken ]] || exit 1
  for u in "${units[@]}"; do date -u '+%F %T.%6N UTC' >"$UNITS/$u.active"; done
  ;;
reset-failed) ;;
daemon-reload) echo daemon-reload >>"$CALLS"; [[ ! -e $UNITS/broken ]] ;;
*) echo "unexpected: $*" >&2; exit 64 ;;
esac
EOF
  source "$PROVISION/lib/common.sh"
  F="$BATS_TEST_TMPDIR/nova.conf"
  G="$BATS_TEST_TMPDIR/with space & more.ini"
  echo one >"$F"
  echo two >"$G"
}

calls() { cat "$CALLS"; }

@test "a unit that never ran is restarted, once" {
  restart_if_changed nova-api "$F" "$G"
  restart_if_changed nova-api "$F" "$G"
  [ "$(calls)" = 'restart nova-api' ]
}

@test "a changed file restarts the unit, an unchanged one does not" {
  restart_if_changed nova-api "$F" "$G"
  echo changed >"$G"
  restart_if_changed nova-api "$F" "$G"
  restart_if_changed nova-api "$F" "$G"
  [ "$(calls)" = 'restart nova-api
restart nova-api' ]
}

@test "a stopped unit is started" {
  restart_if_changed nova-api "$F"
  rm "$UNITS/nova-api.active"
  restart_if_changed nova-api "$F"
  [ "$(wc -l <"$CALLS")" = 2 ]
}

@test "several units are restarted in one transaction, and only those that need it" {
  restart_if_changed nova-api "$F"
  restart_if_changed nova-api nova-conductor nova-scheduler "$F"
  [ "$(calls)" = 'restart nova-api
restart nova-conductor nova-scheduler' ]
}

@test "a run cut short between the file and the restart is repaired by the next" {
  restart_if_changed nova-api "$F"
  echo changed >"$F"
  # ... killed here; somebody restarts the unit only after the file was put back by hand
  touch "$UNITS/broken"
  run ! restart_if_changed nova-api "$F"
  rm "$UNITS/broken"
  restart_if_changed nova-api "$F"
  restart_if_changed nova-api "$F"
  [ "$(wc -l <"$CALLS")" = 3 ]
}

@test "a file that was changed, read by a restart and repaired restarts the unit, though its content is the old one" {
  restart_if_changed nova-api "$F"
  echo spoilt >"$F"
  systemctl restart nova-api
  sleep 0.2 # a file's time is as coarse as the kernel's tick
  echo one >"$F"
  restart_if_changed nova-api "$F"
  [ "$(wc -l <"$CALLS")" = 3 ]
}

@test "enable_units touches only what is not enabled, and unmasks" {
  touch "$UNITS/a.enabled" "$UNITS/b.masked"
  enable_units a b c
  [ "$(calls)" = 'unmask b
enable b c' ]
  enable_units a b c
  [ "$(wc -l <"$CALLS")" = 2 ]
}

@test "disable_units stops what runs, and touches nothing that is off" {
  touch "$UNITS/a.enabled"
  disable_units a b
  [ "$(calls)" = 'disable a' ]
}

@test "start_if_stopped starts only what is stopped" {
  touch "$UNITS/a.active"
  start_if_stopped a b
  [ "$(calls)" = 'start b' ]
}

@test "start_behind makes a unit wait for each URL at boot, and tells systemd once" {
  export LAB_SYSTEMD=$BATS_TEST_TMPDIR/systemd
  start_behind nova-compute nova-scheduler http://controller:5000/v3 http://controller:8778/
  start_behind nova-compute nova-scheduler http://controller:5000/v3 http://controller:8778/
  [ "$(calls)" = daemon-reload ]
  file=$LAB_SYSTEMD/nova-scheduler.service.d/lab-boot.conf
  cmp "$file" "$LAB_SYSTEMD/nova-compute.service.d/lab-boot.conf"
  [ "$(grep -c ^ExecStartPre=-/usr/bin/timeout "$file")" -eq 2 ]
  grep -qx Restart=always "$file"
  grep -qx RestartSec=5 "$file"
  grep -qx TimeoutStopSec=3 "$file"
  start_behind nova-compute http://controller:5000/v3
  [ "$(calls | wc -l)" -eq 2 ]
  [ "$(grep -c ^ExecStartPre= "$LAB_SYSTEMD/nova-compute.service.d/lab-boot.conf")" -eq 1 ]
}

@test "what was written before start_behind is read with its files, at once" {
  export LAB_SYSTEMD=$BATS_TEST_TMPDIR/systemd LAB_AGENTS=$BATS_TEST_TMPDIR/agents LAB_ACCELERATOR=qemu
  start_limit nova-
  calm_agents neutron-dhcp-agent
  [ -z "$(calls)" ]
  start_behind neutron-dhcp-agent http://controller:9696/
  [ "$(calls)" = daemon-reload ]
  grep -qx TimeoutStartSec=600 "$LAB_SYSTEMD/nova-.service.d/lab.conf"
}

@test "a step that was cut short before systemd read its files is made good by the next" {
  export LAB_SYSTEMD=$BATS_TEST_TMPDIR/systemd
  touch "$UNITS/broken"
  run ! start_behind nova-compute http://controller:5000/v3
  rm "$UNITS/broken"
  start_behind nova-compute http://controller:5000/v3
  start_behind nova-compute http://controller:5000/v3
  [ "$(calls | grep -c daemon-reload)" -eq 2 ]
}

@test "the command that start_behind writes ends when the URL answers, and not before" {
  export LAB_SYSTEMD=$BATS_TEST_TMPDIR/systemd TRIES=$BATS_TEST_TMPDIR/tries
  start_behind nova-compute http://controller:5000/v3
  line=$(sed -n 's/^ExecStartPre=-//p' "$LAB_SYSTEMD/nova-compute.service.d/lab-boot.conf")
  stand_in curl <<'EOF'
echo "${*: -1}" >>"$TRIES"
(($(wc -l <"$TRIES") == 3))
EOF
  stand_in sleep <<<''
  eval "$line"
  [ "$(sort -u "$TRIES")" = http://controller:5000/v3 ]
  [ "$(wc -l <"$TRIES")" -eq 3 ]
}

@test "a unit of a later step reads a changed file where it runs already" {
  restart_if_running nova-serialproxy "$F"
  [ -z "$(calls)" ]
  touch "$UNITS/nova-serialproxy.enabled"
  date -u '+%F %T.%6N UTC' >"$UNITS/nova-serialproxy.active"
  restart_if_running nova-serialproxy "$F"
  [ "$(calls)" = 'restart nova-serialproxy' ]
}
