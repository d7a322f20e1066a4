# shellcheck shell=bash
#
# systemd units: what is already as it should be is not touched.

# Debian's packages bring a SysV script with each unit, for which systemctl calls a hook that makes systemd read all of
# its units again: two seconds for every unit on an emulated processor, and nothing here needs it.
export SYSTEMCTL_SKIP_SYSV=1

# enable_units UNIT…: start at boot. Several packages do not enable their units, and a student may have masked one.
enable_units() {
  local unit state units=("$@") wrong=() masked=()
  local i=0
  while read -r state; do
    unit=${units[i++]}
    case $state in
      enabled | static | alias | indirect | generated) ;;
      masked*) masked+=("$unit") wrong+=("$unit") ;;
      *) wrong+=("$unit") ;;
    esac
  done < <(systemctl is-enabled "${units[@]}" 2>&1 || true)
  if ((${#masked[@]})); then
    systemctl unmask "${masked[@]}"
  fi
  if ((${#wrong[@]})); then
    say "enabling: ${wrong[*]}"
    systemctl --quiet --no-reload enable "${wrong[@]}"
  fi
}

# disable_units UNIT…: neither running nor started at boot.
disable_units() {
  local unit
  for unit in "$@"; do
    if systemctl --quiet is-enabled "$unit" 2>/dev/null || systemctl --quiet is-active "$unit"; then
      say "disabling: $unit"
      systemctl --quiet disable --now "$unit"
    fi
  done
}

# start_if_stopped UNIT…: start those that do not run.
start_if_stopped() {
  local unit stopped=()
  for unit in "$@"; do
    systemctl --quiet is-active "$unit" || stopped+=("$unit")
  done
  if ((${#stopped[@]})); then
    say "starting: ${stopped[*]}"
    systemctl reset-failed "${stopped[@]}" 2>/dev/null || true
    systemctl start "${stopped[@]}"
  fi
}

# restart_if_changed UNIT… FILE…: the guide's `service UNIT restart`, for the units that have not read the FILEs as
# they are now, or do not run; all in one transaction. An argument with a slash is a file.
#
# A unit has read them when it was last (re)started here with the same content (a stamp, written after the restart, so
# that a run cut short between writing a file and restarting is repaired by the next one), and no file was written since
# the unit's start (somebody may have changed a file and restarted the unit before a step repaired the file: the stamp
# alone would not show that).
restart_if_changed() {
  local unit sum started written argument
  local units=() files=() stale=()
  for argument in "$@"; do
    if [[ $argument == */* ]]; then files+=("$argument"); else units+=("$argument"); fi
  done
  mkdir -p "$LAB_STATE/read"
  sum=$(sha256sum -- "${files[@]}" | sha256sum)
  sum=${sum%% *}
  written=$(stat --format=%.Z -- "${files[@]}" | sort -n | tail -n 1)
  for unit in "${units[@]}"; do
    started=$(unit_started "$unit")
    if [[ -z $started ]]; then
      stale+=("$unit")
    elif [[ $(cat "$LAB_STATE/read/$unit" 2>/dev/null) != "$sum" ]] || ! is_later "$started" "$written"; then
      stale+=("$unit")
    fi
  done
  if ((${#stale[@]} == 0)); then
    say "running with the present configuration: ${units[*]}"
    return 0
  fi
  say "restarting: ${stale[*]}"
  systemctl reset-failed "${stale[@]}" 2>/dev/null || true
  systemctl restart "${stale[@]}" || return
  for unit in "${stale[@]}"; do
    printf '%s\n' "$sum" >"$LAB_STATE/read/$unit"
  done
}

# restart_if_running UNIT FILE…: for a step that writes a file which a unit of a later step reads too. That step starts
# the unit; from then on the unit reads what the file says now.
restart_if_running() {
  if systemctl --quiet is-active "$1"; then
    restart_if_changed "$@"
  fi
}

# unit_started UNIT: when its main process began, in seconds since 1970 with fraction; empty when it does not run.
unit_started() {
  local unit=$1 stamp
  systemctl --quiet is-active "$unit" || return 0
  stamp=$(systemctl show --timestamp=us+utc --property=ExecMainStartTimestamp --value "$unit")
  [[ -n $stamp && $stamp != n/a ]] || return 0
  date --date="$stamp" +%s.%N
}

# is_later A B: time A is not before time B (seconds with fraction).
is_later() {
  awk -v a="$1" -v b="$2" 'BEGIN { exit !(a + 0 >= b + 0) }'
}

# start_behind UNIT… URL…: at each start of the node these units wait until every URL answers, for at most nine minutes
# each; then they start all the same. A unit that ends, even without an error, as nova-compute does when libvirt refuses
# it, is started again every five seconds, without end. One that is told to end has three seconds for it. An argument with
# :// is a URL.
#
# When all nodes boot at once, the services come up in any order, and slowly on an emulated processor. Some give up, or
# log errors, when what they talk to is not there yet; systemd knows the order of units on one node only, and takes most
# of them for started as soon as they have a process.
#
# On an emulated processor nova-scheduler, nova-compute and neutron's DHCP agent do not end within Debian's 15 seconds, and
# are killed then: each restart and each shutdown waits for that. They keep no data, so waiting gains nothing.
start_behind() {
  local argument unit url
  local units=() urls=()
  for argument in "$@"; do
    if [[ $argument == *://* ]]; then urls+=("$argument"); else units+=("$argument"); fi
  done
  for unit in "${units[@]}"; do
    {
      printf '[Unit]\nStartLimitIntervalSec=0\n\n[Service]\nTimeoutStartSec=600\nTimeoutStopSec=3\n'
      printf 'Restart=always\nRestartSec=5\n'
      for url in "${urls[@]}"; do
        printf "ExecStartPre=-/usr/bin/timeout 540 /bin/sh -c '%s %s; do sleep 3; done'\n" \
          'until curl --silent --fail --output /dev/null --max-time 20 --noproxy "*"' "$url"
      done
    } | drop_in "$unit" lab-boot
  done
  read_units
}

# start_limit PREFIX: units whose names begin with PREFIX (nova-, neutron-) have ten minutes to start, instead of 90
# s. systemd reads PREFIX.service.d for every unit PREFIX*.service. Before start_behind.
start_limit() {
  printf '[Service]\nTimeoutStartSec=600\n' | drop_in "$1" lab
}

# drop_in UNIT NAME: systemd's NAME.conf for UNIT holds exactly the text on stdin. Before read_units.
drop_in() {
  local text file=${LAB_SYSTEMD:-/etc/systemd/system}/$1.service.d/$2.conf
  text=$(cat)
  mkdir -p "${file%/*}" "$LAB_STATE/unread"
  [[ $text == "$(cat -- "$file" 2>/dev/null)" ]] || : >"$LAB_STATE/unread/${LAB_STEP:-}.step"
  put_file "$file" <<<"$text"
}

# read_units: systemd reads what drop_in has written in this step, be it in a run that was cut short. Once for all that a
# step writes, for it takes two seconds on an emulated processor. (NeedDaemonReload of a unit does not know of a directory
# that is new.)
read_units() {
  if [[ -e $LAB_STATE/unread/${LAB_STEP:-}.step ]]; then
    systemctl daemon-reload && rm -- "$LAB_STATE/unread/${LAB_STEP:-}.step"
  fi
}
