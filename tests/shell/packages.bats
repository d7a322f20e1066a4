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
  # dpkg: --audit tells what the file `audit` holds; the rest is noted.
  export AUDIT=$BATS_TEST_TMPDIR/audit LAB_DPKG_INFO=$BATS_TEST_TMPDIR/info
  : >"$AUDIT"
  mkdir "$LAB_DPKG_INFO"
  stand_in dpkg <<'EOF'
if [[ $* == --audit ]]; then cat "$AUDIT"; else printf 'dpkg %s\n' "$*" >>"$CALLS"; fi
EOF
  stand_in apt-get <<'EOF'
printf '%s\n' "$*" >>"$CALLS"
[[ -x $LAB_POLICY_RC_D ]] && echo 'nothing may start' >>"$CALLS"
[[ $* != *no-such-package* ]] || exit 100
EOF
  stand_in systemctl <<'EOF'
printf 'systemctl %s\n' "$*" >>"$CALLS"
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

@test "what was installed may speak on D-Bus" {
  install_packages bash keystone
  [ "$(tail -n 1 "$CALLS")" = 'systemctl reload dbus' ]
}

@test "an installation that fails fails the step, and services may start again" {
  run install_packages no-such-package
  [ "$status" = 100 ]
  [[ $output == *'cannot install no-such-package'*'`lab down`, then `lab up`'* ]]
  [ ! -e "$LAB_POLICY_RC_D" ]
}

@test "a clean system is not repaired" {
  install_packages keystone
  run ! grep -q 'dpkg\|--fix-broken\|--reinstall' "$CALLS"
  [ ! -e "$LAB_STATE/installing" ]
}

@test "an installation that was killed is finished, also when all packages seem to be there" {
  cat /proc/sys/kernel/random/boot_id >"$LAB_STATE/installing"
  echo 'half a package' >"$AUDIT"
  run install_packages bash
  [ "$status" = 0 ]
  [[ $output == *'cut short: finishing it'* ]]
  grep -q 'dpkg --force-confold --configure -a' "$CALLS"
  grep -q -- --fix-broken "$CALLS"
  run ! grep -q -- --reinstall "$CALLS"
  [ ! -e "$LAB_STATE/installing" ]
}

@test "after a power cut the packages that were unpacked since are installed again" {
  touch -d '-1 hour' "$LAB_DPKG_INFO/old.list"
  echo another-boot >"$LAB_STATE/installing"
  touch -d '-1 minute' "$LAB_STATE/installing"
  touch "$LAB_DPKG_INFO/keystone.list"
  run install_packages bash
  [ "$status" = 0 ]
  grep -q -- '--reinstall keystone$' "$CALLS"
}

@test "an installation that fails is known to the next run" {
  run install_packages no-such-package
  [ -e "$LAB_STATE/installing" ]
}
