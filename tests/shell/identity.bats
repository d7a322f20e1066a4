#!/usr/bin/env bats
# 30-identity: keys_are_whole, admin_has_password

load helpers

setup() {
  KEYS=$BATS_TEST_TMPDIR/keys
  mkdir "$KEYS"
  # Here the keys are the tester's own.
  source <(sed -n '/^keys_are_whole()/,/^}/p' "$PROVISION/30-identity.sh" | sed "s/-user keystone/-user $(id -un)/")
  source <(sed -nE '/^(identity_takes|admin_[a-z_]+)\(\)/,/^}/p' "$PROVISION/30-identity.sh" |
    sed "s|/root|$BATS_TEST_TMPDIR|")
}

key() { printf '%044d' 0 >"$KEYS/$1"; }

@test "two keys are complete" {
  key 0
  key 1
  keys_are_whole "$KEYS"
}

@test "a set-up that was cut short is not: no directory, one key, an empty one, a temporary file" {
  run ! keys_are_whole "$KEYS/none"
  run ! keys_are_whole "$KEYS"
  key 0
  run ! keys_are_whole "$KEYS"
  : >"$KEYS/1"
  run ! keys_are_whole "$KEYS"
  key 1
  key 0.tmp
  rm "$KEYS/0"
  key 2
  keys_are_whole "$KEYS"
  : >"$KEYS/0.tmp"
  run ! keys_are_whole "$KEYS"
}

# an_identity_service PASSWORD: admin has this password; it is changed by who knows it. $ASKED has each request's path.
an_identity_service() {
  setup_lab
  export SERVICE=$BATS_TEST_TMPDIR/service ASKED=$BATS_TEST_TMPDIR/asked
  printf '%s' "$1" >"$SERVICE"
  stand_in mariadb <<<'echo 0123'
  stand_in curl <<'EOF'
said=$(cat)
password=$(cat "$SERVICE")
echo "${*: -1}" | sed 's|.*/v3/||' >>"$ASKED"
case ${*: -1} in
  */v3/auth/tokens) [[ $said == *'"password": "'"$password"'"'* ]] ;;
  */v3/users/0123/password)
    [[ $said == *'"original_password": "'"$password"'"'* ]] || exit 22
    sed 's/.*"password": "\([^"]*\)".*/\1/' <<<"$said" | tr -d '\n' >"$SERVICE"
    ;;
  *) exit 22 ;;
esac
EOF
}

@test "a password that is right is not changed" {
  an_identity_service new
  echo 'export OS_PASSWORD=old' >"$BATS_TEST_TMPDIR/admin-openrc"
  ADMIN_PASS=new admin_has_password
  [ "$(cat "$ASKED")" = auth/tokens ]
}

@test "the former password, of admin-openrc, is enough to change it" {
  an_identity_service old
  printf '%s\n' 'export OS_USERNAME=admin' 'export OS_PASSWORD=old' >"$BATS_TEST_TMPDIR/admin-openrc"
  ADMIN_PASS=new admin_has_password
  [ "$(cat "$SERVICE")" = new ]
  [ "$(tail -n 1 "$ASKED")" = auth/tokens ]
}

@test "without the former password the service must be bootstrapped: no file, another one, the same one" {
  an_identity_service lost
  ADMIN_PASS=new run ! admin_has_password
  echo 'export OS_PASSWORD=old' >"$BATS_TEST_TMPDIR/admin-openrc"
  ADMIN_PASS=new run ! admin_has_password
  echo 'export OS_PASSWORD=new' >"$BATS_TEST_TMPDIR/admin-openrc"
  ADMIN_PASS=new run ! admin_has_password
  [ "$(cat "$SERVICE")" = lost ]
  [ "$(grep -c '^users/' "$ASKED")" -eq 1 ]
}

@test "no password is in a command line" {
  an_identity_service old
  stand_in curl <<'EOF'
cat >/dev/null
echo "$*" >>"$ASKED"
exit 22
EOF
  echo 'export OS_PASSWORD=former-one' >"$BATS_TEST_TMPDIR/admin-openrc"
  ADMIN_PASS=latter-one run ! admin_has_password
  [ "$(wc -l <"$ASKED")" -eq 2 ]
  run ! grep -q 'former-one\|latter-one' "$ASKED"
}
