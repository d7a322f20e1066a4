#!/usr/bin/env bats
# wait_for, wait_for_step, http_answers

load helpers

setup() {
  setup_lab
  source "$PROVISION/lib/common.sh"
}

@test "wait_for returns at once when the command succeeds, and says so" {
  run wait_for 'the thing' 5 true
  [ "$status" = 0 ]
  [[ $output == *'waited 0 s for the thing'* ]]
}

@test "wait_for asks again until the command succeeds" {
  later() {
    printf x >>"$BATS_TEST_TMPDIR/calls"
    [ "$(wc -c <"$BATS_TEST_TMPDIR/calls")" -ge 3 ]
  }
  run wait_for 'the third time' 20 later
  [ "$status" = 0 ]
  [ "$(wc -c <"$BATS_TEST_TMPDIR/calls")" = 3 ]
}

@test "wait_for gives up at its limit, names what it waited for and shows the last answer" {
  run wait_for 'a dead service' 1 bash -c 'echo connection refused; exit 1'
  [ "$status" = 1 ]
  [[ $output == *'for a dead service, in vain'* ]]
  [[ $output == *'connection refused'* ]]
}

@test "wait_for passes arguments on as they are" {
  for text in "${NASTY[@]}"; do
    run wait_for nothing 1 test "$text" = "$text"
    [ "$status" = 0 ]
  done
}

@test "wait_for shows the units of the step that do not run, at its limit" {
  stand_in systemctl <<'EOF'
case $* in
*is-active*bad*) exit 3 ;;
*is-active*) exit 0 ;;
*status*) echo "status of: ${!#}" ;;
esac
EOF
  export LAB_UNITS='good bad'
  run wait_for 'the API' 0 false
  [ "$status" = 1 ]
  [[ $output == *'status of: bad'* ]]
  [[ $output != *'status of: good'* ]]
}

@test "limits are stretched by the factor, rounded up, and never made shorter" {
  [ "$(scaled 10)" = 10 ]
  [ "$(LAB_WAIT_FACTOR=20 scaled 10)" = 200 ]
  [ "$(LAB_WAIT_FACTOR=1.25 scaled 10)" = 13 ]
  [ "$(LAB_WAIT_FACTOR=0.1 scaled 10)" = 10 ]
  [ "$(LAB_WAIT_FACTOR='' scaled 10)" = 10 ]
}

@test "wait_for_step goes on when the step is done" {
  LAB_STEP=40-image
  mkdir -p "$LAB_STATE/done"
  touch "$LAB_STATE/done/30-identity"
  run wait_for_step 30-identity 5
  [ "$status" = 0 ]
}

@test "wait_for_step ends at once when the step fails meanwhile" {
  LAB_STEP=40-image
  mkdir -p "$LAB_STATE/failed"
  touch -d '1 minute ago' "$LAB_RUN/40-image.lock"
  touch "$LAB_STATE/failed/30-identity"
  run wait_for_step 30-identity 60
  [ "$status" = 1 ]
  [[ $output == *'step 30-identity, which this step needs, failed'* ]]
}

@test "wait_for_step does not take yesterday's failure for today's" {
  LAB_STEP=40-image
  mkdir -p "$LAB_STATE/failed"
  touch -d '1 minute ago' "$LAB_STATE/failed/30-identity"
  touch "$LAB_RUN/40-image.lock"
  run wait_for_step 30-identity 1
  [ "$status" = 1 ]
  [[ $output == *'waited'*'for step 30-identity, in vain'* ]]
}

@test "http_answers compares the code, and says what it got" {
  stand_in curl <<'EOF'
printf 503
EOF
  run http_answers http://controller:5000/v3
  [ "$status" = 1 ]
  [[ $output == *'http://controller:5000/v3 answered 503'* ]]
  run http_answers http://controller:5000/v3 503
  [ "$status" = 0 ]
}
