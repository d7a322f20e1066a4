# shellcheck shell=bash
#
# What every bats file here loads: a directory of its own for state, and stand-ins for the programs that change a system.

bats_require_minimum_version 1.5.0 # `run !`: a plain `!` fails no test but by its last line

PROVISION=$(cd "$BATS_TEST_DIRNAME/../../provision" && pwd)

# Values that have broken shell scripts before.
NASTY=('two words' "it's" 'say "hi"' 'a&b' 'back\slash' '100%' '' '$HOME `id` $(id)' 'a*b?[c]' '-n' '/path|pipe' $'tab\there')

setup_lab() {
  export LAB_DIR=$PROVISION
  export LAB_STATE=$BATS_TEST_TMPDIR/state LAB_RUN=$BATS_TEST_TMPDIR/run LAB_LOGS=$BATS_TEST_TMPDIR/logs
  export LAB_SCHEMAS=$BATS_TEST_TMPDIR/schemas
  mkdir -p "$LAB_STATE" "$LAB_RUN" "$BATS_TEST_TMPDIR/bin"
  export PATH=$BATS_TEST_TMPDIR/bin:$PATH
  unset LAB_WAIT_FACTOR LAB_UNITS LAB_FAILURE LAB_STEP_FILE
}

# stand_in NAME <<'EOF': a program NAME, first on PATH.
stand_in() {
  {
    printf '#!/usr/bin/env bash\n'
    cat
  } >"$BATS_TEST_TMPDIR/bin/$1"
  chmod +x "$BATS_TEST_TMPDIR/bin/$1"
}

# node_with_step SLUG <<'EOF': a copy of the payload, with one step whose script is stdin.
node_with_step() {
  NODE=$BATS_TEST_TMPDIR/lab
  mkdir -p "$NODE/steps"
  cp -r "$PROVISION/run-step" "$PROVISION/lib" "$NODE/"
  printf "LAB_NODE=controller\nSECRET='s3cret-value'\n" >"$NODE/env"
  cat >"$NODE/steps/$1.sh"
}
