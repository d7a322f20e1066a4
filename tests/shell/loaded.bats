#!/usr/bin/env bats
# loaded, and lib/load-once which it starts

load helpers

setup() {
  setup_lab
  source "$PROVISION/lib/common.sh"
  ME=$(id -un)
  export PYTHONPATH=$BATS_TEST_TMPDIR/python LOADS=$BATS_TEST_TMPDIR/loads
  mkdir -p "$PYTHONPATH"
  cat >"$PYTHONPATH/heavy.py" <<'EOF'
import os, sys
open(os.environ["LOADS"], "a").write("loaded\n")
calls = 0
def main():
    global calls
    calls += 1
    print(calls, sys.argv[0].rsplit("/")[-1], *map(repr, sys.argv[1:]), os.environ.get("EXTRA", ""), flush=True)
    if sys.argv[1] == "raise":
        raise ValueError("broken")
    return {"fail": 3, "say": "a message"}.get(sys.argv[1])
EOF
  printf '#!/usr/bin/python3\nimport sys\nfrom heavy import main\nif __name__ == "__main__":\n    sys.exit(main())\n' \
    >"$BATS_TEST_TMPDIR/bin/heavy-manage"
  chmod +x "$BATS_TEST_TMPDIR/bin/heavy-manage"
}

@test "a program is loaded once, and each command begins afresh" {
  {
    loaded "$ME" heavy-manage one
    loaded "$ME" heavy-manage two
  } 2>"$BATS_TEST_TMPDIR/said"
  [ "$(cat "$LOADS")" = loaded ]
  [ "$(cat "$BATS_TEST_TMPDIR/said")" = "1 heavy-manage 'one' "$'\n'"1 heavy-manage 'two' " ]
}

@test "exit codes: of the program, of a message, of an exception" {
  run loaded "$ME" heavy-manage fail
  [ "$status" = 3 ]
  run loaded "$ME" heavy-manage say
  [ "$status" = 1 ]
  run loaded "$ME" heavy-manage raise
  [ "$status" = 1 ]
  [[ $output == *"ValueError: broken"* ]]
}

@test "a command that fails does not end the others" {
  loaded "$ME" heavy-manage fail || [ $? = 3 ]
  loaded "$ME" heavy-manage one
}

@test "arguments arrive as they are" {
  for text in "${NASTY[@]}"; do
    [[ $text != *$'\t'* ]] || continue
    loaded "$ME" heavy-manage "$text" 2>>"$BATS_TEST_TMPDIR/said"
  done
  grep -qF "'two words'" "$BATS_TEST_TMPDIR/said"
  grep -qF "'\$HOME \`id\` \$(id)'" "$BATS_TEST_TMPDIR/said"
  grep -qF "'back\\\\slash'" "$BATS_TEST_TMPDIR/said"
  grep -qF "1 heavy-manage '' " "$BATS_TEST_TMPDIR/said"
}

@test "variables reach the one command that they are given to" {
  {
    loaded "$ME" EXTRA='se en' heavy-manage one
    loaded "$ME" heavy-manage two
  } 2>"$BATS_TEST_TMPDIR/said"
  [ "$(cat "$BATS_TEST_TMPDIR/said")" = "1 heavy-manage 'one' se en"$'\n'"1 heavy-manage 'two' " ]
}

@test "a program that is not there" {
  run loaded "$ME" no-such-manage one
  [ "$status" = 1 ]
  [[ $output == *"no-such-manage could not be loaded"* ]]
}

@test "sync_schema brings a schema with a loaded program" {
  stand_in mariadb <<<'true'
  stand_in dpkg-query <<<'echo 1.0'
  sync_schema heavy heavy-common loaded "$ME" heavy-manage db_sync 2>"$BATS_TEST_TMPDIR/said"
  grep -q "db_sync" "$BATS_TEST_TMPDIR/said"
}
