#!/usr/bin/env bats
# install_packages

load helpers

setup() {
  setup_lab
  export CALLS=$BATS_TEST_TMPDIR/calls LAB_POLICY_RC_D=$BATS_TEST_TMPDIR/policy-rc.d
  : >"$CALLS"
  stand_in dpkg-query <<'EOF'
printf 'installed bash\ninstalled chrony\nconfig-files keystone\n'
EOF
  stand_in dpkg <<'EOF'
exit 0
EOF
  stand_in apt-get <<'EOF'
printf '%s\n' "$*" >>"$CALLS"
[[ -x $LAB_POLICY_RC_D ]] && echo 'nothing may start' >>"$CALLS"
[[ $* != *no-such-package* ]] || exit 100
EOF
  source "$PROVISION/lib/common.sh"
}

@test "nothing is asked of apt when all is installed" {
  run install_packages bash chrony
  [ "$status" = 0 ]
  [ ! -s "$CALLS" ]
}

@test "a package that was removed but not purged is missing" {
  [ "$(missing_packages bash keystone absent)" = 'keystone
absent' ]
}

@test "an installation runs without recommended packages, and nothing starts meanwhile" {
  install_packages bash keystone
  grep -q -- '--no-install-recommends bash keystone' "$CALLS"
  grep -q 'nothing may start' "$CALLS"
  [ ! -e "$LAB_POLICY_RC_D" ]
}

@test "an installation that fails fails the step, and services may start again" {
  run install_packages no-such-package
  [ "$status" = 100 ]
  [ ! -e "$LAB_POLICY_RC_D" ]
}
