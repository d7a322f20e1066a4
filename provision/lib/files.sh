# shellcheck shell=bash
#
# Complete files and single lines.

# put_file PATH [MODE [OWNER:GROUP]] <<EOF: PATH holds exactly the text on stdin. Written only when it differs,
# through a temporary file in the same directory, so that nobody ever reads half of it, even after a power cut.
put_file() {
  local path=$1 mode=${2:-0644} owner=${3:-root:root}
  local temporary=$path.lab-new
  rm -f -- "$temporary"
  (umask 077 && cat >"$temporary")
  if cmp --silent -- "$temporary" "$path"; then
    rm -f -- "$temporary"
    if [[ $(stat --format=%04a -- "$path") != "$mode" ]]; then chmod "$mode" -- "$path"; fi
    if [[ $(stat --format=%U:%G -- "$path") != "$owner" ]]; then chown "$owner" -- "$path"; fi
    return 0
  fi
  chmod "$mode" -- "$temporary"
  chown "$owner" -- "$temporary"
  sync -- "$temporary"
  mv -- "$temporary" "$path"
  say "wrote $path"
}

# set_line FILE PATTERN LINE: every line of FILE that matches the extended regular expression PATTERN becomes LINE;
# when none does, LINE is appended. LINE is taken as it is, whatever characters it holds. Mode and owner of FILE stay.
set_line() {
  local file=$1 temporary=$1.lab-new
  rm -f -- "$temporary"
  (
    umask 077
    LAB_PATTERN=$2 LAB_LINE=$3 awk '
      $0 ~ ENVIRON["LAB_PATTERN"] { print ENVIRON["LAB_LINE"]; found = 1; next }
      { print }
      END { if (!found) print ENVIRON["LAB_LINE"] }
    ' "$file" >"$temporary"
  )
  if cmp --silent -- "$temporary" "$file"; then
    rm -f -- "$temporary"
    return 0
  fi
  chown --reference="$file" -- "$temporary"
  chmod --reference="$file" -- "$temporary"
  sync -- "$temporary"
  mv -- "$temporary" "$file"
  say "changed $file"
}

# trim_empty FILE…: no space after an option that is set to nothing. crudini writes one, and removes it when it merges the
# same block again: that is a change, and the services would be restarted for it.
trim_empty() {
  local file
  for file; do
    if grep --quiet --extended-regexp '^[^#]*= +$' -- "$file"; then
      sed --in-place --regexp-extended 's/^([^#]*=) +$/\1/' -- "$file"
    fi
  done
}

# repair_mode PATH MODE OWNER:GROUP: as the package made it.
repair_mode() {
  local path=$1 mode=$2 owner=$3
  if [[ $(stat --format='%04a %U:%G' -- "$path") != "$mode $owner" ]]; then
    chown "$owner" -- "$path"
    chmod "$mode" -- "$path"
    say "repaired owner and mode of $path"
  fi
}
