# shellcheck shell=bash
#
# What a step prints, and where it failed.

# heading TEXT: a line that stands out in the log.
heading() {
  printf '\n=== %s\n' "$*"
}

# say TEXT: an indented line.
say() {
  printf '    %s\n' "$*"
}

# fail TEXT: end the step; TEXT says what is wrong and what was expected.
fail() {
  printf 'error: %s\n' "$*" >&2
  record_failure 1
  exit 1
}

# record_failure CODE: write "line N: exit code C: SOURCE TEXT" of the innermost line of the step's script to
# $LAB_FAILURE. The first record of a run wins: it is the cause, what follows is its consequence.
# The text is read from the script, so it holds names of variables and never their values.
record_failure() {
  local code=$1
  local i line=0 text
  [[ -n ${LAB_FAILURE:-} && -n ${LAB_STEP_FILE:-} ]] || return 0
  for ((i = 0; i + 1 < ${#BASH_SOURCE[@]}; i++)); do
    if [[ ${BASH_SOURCE[i + 1]} == "$LAB_STEP_FILE" ]]; then
      line=${BASH_LINENO[i]}
      break
    fi
  done
  text=$(sed -n "${line}{s/^[[:space:]]*//;p;q}" "$LAB_STEP_FILE" 2>/dev/null) || text=
  (
    set -o noclobber
    printf 'line %d: exit code %d: %s\n' "$line" "$code" "${text:-(outside the script)}" >"$LAB_FAILURE"
  ) 2>/dev/null || true
}
