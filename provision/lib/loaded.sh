# shellcheck shell=bash
#
# Many commands of one Python program, which is loaded once (lib/load-once): on an emulated processor most of a command's
# time is loading.

_loaded_program=

# loaded USER [NAME=VALUE…] PROGRAM WORD…: run PROGRAM with these arguments as USER, and with these variables in its
# environment; its exit code. The first call loads it. One program in a step, and in the step's own shell.
loaded() {
  local user=$1 variables=() program code
  shift
  while [[ $1 == [A-Z]*=* ]]; do
    variables+=("$1")
    shift
  done
  program=$1
  shift
  if [[ -z $_loaded_program ]]; then
    _loaded_program=$program
    coproc LOADED { exec "$LAB_DIR/lib/load-once" "$program"; }
  elif [[ $_loaded_program != "$program" ]]; then
    fail "loaded: $_loaded_program is loaded, not $program"
  fi
  {
    printf '%q ' "$user" "${variables[@]}" -- "$@"
    printf '\n'
  } >&"${LOADED[1]}"
  if ! read -r code <&"${LOADED[0]}"; then
    printf 'error: %s could not be loaded\n' "$program" >&2
    return 1
  fi
  return "$code"
}
