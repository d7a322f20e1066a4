# shellcheck shell=bash
#
# Bounded waits. Limits are written for a host with KVM; LAB_WAIT_FACTOR (measured by the host's proof) stretches
# them.

# scaled SECONDS: SECONDS x LAB_WAIT_FACTOR, rounded up, at least SECONDS.
scaled() {
  local seconds=$1
  awk -v s="$seconds" -v f="${LAB_WAIT_FACTOR:-1}" \
    'BEGIN { f += 0; if (f < 1) f = 1; r = s * f; print (r > int(r)) ? int(r) + 1 : int(r) }'
}

# poll_interval: a second, three where everything is slow: on an emulated processor each probe is work that it waits for.
poll_interval() {
  local factor=${LAB_WAIT_FACTOR:-1}
  if ((${factor%%.*} >= 5)); then printf 3; else printf 1; fi
}

# wait_for NAME SECONDS COMMAND [ARG…]: run COMMAND every one to three seconds until it succeeds, for at most SECONDS x
# LAB_WAIT_FACTOR. Prints what it waited for and how long. At the limit it prints what COMMAND last said and the state
# of the step's units, and returns 1.
wait_for() {
  local name=$1
  local limit interval started output
  limit=$(scaled "$2")
  interval=$(poll_interval)
  shift 2
  started=$SECONDS
  output=
  while ! output=$("$@" 2>&1); do
    if ((SECONDS - started >= limit)); then
      printf 'error: waited %d s for %s, in vain\n' "$((SECONDS - started))" "$name" >&2
      if [[ -n $output ]]; then
        printf '%s\n' "$output" | tail -n 20 | sed 's/^/    /' >&2
      fi
      show_units >&2
      return 1
    fi
    sleep "$interval"
  done
  say "waited $((SECONDS - started)) s for $name"
}

# show_units: the state and the last lines of each unit of the step that is not running.
show_units() {
  local unit
  for unit in ${LAB_UNITS:-}; do
    if ! systemctl --quiet is-active "$unit"; then
      { systemctl --no-pager --full --lines=15 status "$unit" 2>&1 || true; } | sed 's/^/    /'
    fi
  done
  return 0
}

# wait_for_step STEP SECONDS: until STEP is done on this node. Ends as soon as STEP fails.
wait_for_step() {
  local step=$1 seconds=$2
  wait_for "step $step" "$seconds" step_ended "$step"
  [[ -f $LAB_STATE/done/$step ]] || fail "step $step, which this step needs, failed; run it first"
}

# step_ended STEP: done, or failed after this step began.
step_ended() {
  local step=$1
  [[ -f $LAB_STATE/done/$step ]] || [[ $LAB_STATE/failed/$step -nt $LAB_RUN/$LAB_STEP.lock ]]
}

# http_answers URL [CODE]: URL answers within 20 s, with CODE (default: anything below 400).
http_answers() {
  local url=$1 expected=${2:-}
  local code
  code=$(curl --silent --show-error --output /dev/null --max-time 20 --noproxy '*' --write-out '%{http_code}' "$url") ||
    return 1
  if [[ -n $expected ]]; then
    [[ $code == "$expected" ]] && return 0
    printf '%s answered %s, expected %s\n' "$url" "$code" "$expected"
  else
    ((code >= 200 && code < 400)) && return 0
    printf '%s answered %s\n' "$url" "$code"
  fi
  return 1
}
