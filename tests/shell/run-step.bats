#!/usr/bin/env bats
# run-step: the failure line, the log, the markers, the lock

load helpers

setup() {
  setup_lab
  unset LAB_DIR
}

@test "a good step: exit 0, done marker, log of mode 600" {
  node_with_step 20-database <<'EOF'
set -euo pipefail
source "$LAB_DIR/lib/common.sh"
echo "hello from $LAB_NODE"
EOF
  run "$NODE/run-step" 20-database
  [ "$status" = 0 ]
  [[ $output == *'hello from controller'* ]]
  [ -f "$LAB_STATE/done/20-database" ]
  [ "$(stat --format=%a "$LAB_LOGS/20-database.log")" = 600 ]
  grep -q 'hello from controller' "$LAB_LOGS/20-database.log"
}

@test "a failing command: its line, code and text, without values, and its exit code" {
  node_with_step 20-database <<'EOF'
set -euo pipefail
source "$LAB_DIR/lib/common.sh"
echo before
bash -c 'exit 7' "$SECRET" <<<"$SECRET"
echo after
EOF
  run "$NODE/run-step" 20-database
  [ "$status" = 7 ]
  [ "${lines[-1]}" = "run-step: failed: 20-database: line 4: exit code 7: bash -c 'exit 7' \"\$SECRET\" <<<\"\$SECRET\"" ]
  [[ $output != *after* ]]
  [[ $output != *s3cret-value* ]]
  [ ! -e "$LAB_STATE/done/20-database" ]
  [ -f "$LAB_STATE/failed/20-database" ]
  run ! grep -rq s3cret-value "$LAB_LOGS" "$LAB_STATE" "$LAB_RUN"
}

@test "a helper that fails is reported at the line of the script that called it" {
  node_with_step 20-database <<'EOF'
set -euo pipefail
source "$LAB_DIR/lib/common.sh"

wait_for 'nothing' 0 false
EOF
  run "$NODE/run-step" 20-database
  [ "$status" = 1 ]
  [ "${lines[-1]}" = "run-step: failed: 20-database: line 4: exit code 1: wait_for 'nothing' 0 false" ]
}

@test "shared blocks that fail are reported at the line of the script that reads them" {
  node_with_step 20-database <<'EOF'
set -euo pipefail
source "$LAB_DIR/lib/common.sh"
source "$LAB_DIR/blocks/a-conf.sh"
EOF
  mkdir "$NODE/blocks"
  printf '# shellcheck shell=bash\n\n\nfalse\n' >"$NODE/blocks/a-conf.sh"
  run "$NODE/run-step" 20-database
  [ "$status" = 1 ]
  [ "${lines[-1]}" = 'run-step: failed: 20-database: line 3: exit code 1: source "$LAB_DIR/blocks/a-conf.sh"' ]
}

@test "fail is reported at its line" {
  node_with_step 20-database <<'EOF'
set -euo pipefail
source "$LAB_DIR/lib/common.sh"
check() {
  fail "expected $1"
}
check kvm
EOF
  run "$NODE/run-step" 20-database
  [ "$status" = 1 ]
  [[ $output == *'error: expected kvm'* ]]
  [ "${lines[-1]}" = 'run-step: failed: 20-database: line 4: exit code 1: fail "expected $1"' ]
}

@test "a loaded program that fails is reported at its line, with its exit code" {
  printf 'import sys\nsys.exit(9)\n' >"$BATS_TEST_TMPDIR/broken-manage"
  chmod +x "$BATS_TEST_TMPDIR/broken-manage"
  node_with_step 20-database <<EOF
set -euo pipefail
source "\$LAB_DIR/lib/common.sh"
loaded $(id -un) $BATS_TEST_TMPDIR/broken-manage db sync
echo not reached
EOF
  run "$NODE/run-step" 20-database
  [ "$status" = 9 ]
  [[ ${lines[-1]} == "run-step: failed: 20-database: line 3: exit code 9: loaded "* ]]
  [[ $output != *'not reached'* ]]
}

@test "an unset variable ends the step" {
  node_with_step 20-database <<'EOF'
set -euo pipefail
echo "$NO_SUCH_VARIABLE"
EOF
  run "$NODE/run-step" 20-database
  [ "$status" != 0 ]
  [[ ${lines[-1]} == 'run-step: failed: 20-database: '* ]]
}

@test "passwords are not in the environment of the programs that a step starts" {
  node_with_step 20-database <<'EOF'
set -euo pipefail
env
EOF
  run "$NODE/run-step" 20-database
  [ "$status" = 0 ]
  [[ $output == *LAB_NODE=controller* ]]
  [[ $output != *s3cret-value* ]]
}

@test "values of the environment files arrive as they are" {
  node_with_step 20-database <<'EOF'
set -euo pipefail
for name in "${!LAB_NASTY_@}"; do printf '<%s>\n' "${!name}"; done
EOF
  for i in "${!NASTY[@]}"; do printf 'LAB_NASTY_%02d=%q\n' "$i" "${NASTY[i]}"; done >"$NODE/steps/20-database.env"
  run "$NODE/run-step" 20-database
  [ "$status" = 0 ]
  for text in "${NASTY[@]}"; do
    [[ $output == *"<$text>"* ]]
  done
}

@test "a second run takes back the failure of the first" {
  node_with_step 20-database <<'EOF'
set -euo pipefail
[[ -e $LAB_STATE/good ]]
EOF
  run "$NODE/run-step" 20-database
  [ "$status" = 1 ]
  touch "$LAB_STATE/good"
  run "$NODE/run-step" 20-database
  [ "$status" = 0 ]
  [ ! -e "$LAB_STATE/failed/20-database" ]
  [ -f "$LAB_STATE/done/20-database" ]
}

@test "the same step twice at once: the second waits for the first" {
  node_with_step 20-database <<'EOF'
set -euo pipefail
mkdir "$LAB_STATE/alone"
sleep 1
rmdir "$LAB_STATE/alone"
EOF
  "$NODE/run-step" 20-database >/dev/null &
  first=$!
  until [[ -d $LAB_STATE/alone ]]; do sleep 0.05; done
  run "$NODE/run-step" 20-database
  [ "$status" = 0 ]
  [[ $output == *'already running here'* ]]
  wait "$first"
}

@test "a step whose terminal goes away runs to its end" {
  node_with_step 20-database <<'EOF'
set -euo pipefail
for i in 1 2 3; do echo "$i"; sleep 0.2; done
touch "$LAB_STATE/reached-the-end"
EOF
  "$NODE/run-step" 20-database | head -n 1 >/dev/null || true
  for _ in $(seq 50); do
    [[ -e $LAB_STATE/reached-the-end ]] && break
    sleep 0.1
  done
  [ -e "$LAB_STATE/reached-the-end" ]
}

@test "an unknown step, a wrong name, no name: exit 2, and nothing is made" {
  node_with_step 20-database <<<true
  for name in 99-nothing ../20-database '20-database; id' ''; do
    run "$NODE/run-step" "$name"
    [ "$status" = 2 ]
  done
  run "$NODE/run-step"
  [ "$status" = 2 ]
  [[ $output == *'20-database'* ]]
  [ ! -e "$LAB_LOGS" ]
}

@test "a step that hangs is ended after its limit, with all that it started" {
  node_with_step 20-database <<'EOF'
set -euo pipefail
source "$LAB_DIR/lib/common.sh"
sleep 3600 &
echo "$!" >"$LAB_STATE/child"
wait
EOF
  run timeout 60 "$NODE/run-step" 20-database 2
  [ "$status" = 124 ]
  [ "${lines[-1]}" = 'run-step: failed: 20-database: line ?: exit code 124: (it did not end within 2 s)' ]
  [ -f "$LAB_STATE/failed/20-database" ]
  # It got the signal too, and ends at its own pace; its new parent may not have asked for its exit code.
  for _ in {1..50}; do
    grep -q '^State:[[:space:]]*[^Z]' "/proc/$(<"$LAB_STATE/child")/status" 2>/dev/null || return 0
    sleep 0.2
  done
  return 1
}

@test "a limit that is no number of seconds is refused" {
  node_with_step 20-database <<'EOF'
true
EOF
  for limit in 0 -1 1.5 1h ''; do
    run "$NODE/run-step" 20-database "$limit"
    [ "$status" = 2 ]
  done
  run "$NODE/run-step" 20-database 60 more
  [ "$status" = 2 ]
}

@test "a log that has become long is put aside, twice" {
  node_with_step 20-database <<'EOF'
source "$LAB_DIR/lib/common.sh"
head -c 1100000 /dev/zero | tr '\0' 'x'
EOF
  for _ in 1 2 3 4; do "$NODE/run-step" 20-database >/dev/null; done
  [ "$(cd "$LAB_LOGS" && echo 20-database.log*)" = '20-database.log 20-database.log.1 20-database.log.2' ]
  (("$(stat --format=%s "$LAB_LOGS/20-database.log.2")" < 1300000))
}
