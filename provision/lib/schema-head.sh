#!/usr/bin/env bash
#
# schema-head.sh DATABASE PACKAGE/PATH: is DATABASE's schema the newest that the installed service knows?
#
# Asked are the service's migration scripts, under PATH of the Python package PACKAGE. With alembic the newest are the
# revisions that no other one follows or depends on; a service may have several lines of them (glance of Pike migrates
# along one of them, and says which). With sqlalchemy-migrate, which came before (a repository is a directory with
# scripts named versions/NNN_*.py; PATH is one, or holds several), it is each repository's highest number. Prints
# "DATABASE: REVISION… (head)" when they are those that DATABASE records, else both, and exits with 1. The services' own
# commands say the same, but take 20 s.

set -euo pipefail

# heads DIRECTORY: the revisions that are nobody's down_revision or depends_on, sorted, in one line.
heads() {
  find "$1" -path '*/versions/*' -name '*.py' -exec cat {} + | tr -d '\r' | awk '
    # down_revision and depends_on may be tuples over several lines
    /^(down_revision|depends_on|revision)(: .*)? *=/ || more {
      if (!more) name = $1
      text = $0
      if (!more) sub(/^[^=]*=/, "", text)
      while (match(text, /["\047][^"\047]+["\047]/)) {
        value = substr(text, RSTART + 1, RLENGTH - 2)
        if (name ~ /^(down|depends)/) followed[value] = 1; else known[value] = 1
        text = substr(text, RSTART + RLENGTH)
      }
      more = (text ~ /\([^)]*$/ || (more && text !~ /\)/))
    }
    END { for (r in known) if (!(r in followed)) print r }
  ' | sort | xargs
}

# numbers VERSIONS…: the names of the repositories of these directories, each with its highest number, sorted, in one line.
numbers() {
  local versions name
  for versions in "$@"; do
    name=$(sed -n 's/^repository_id *= *//p' "$versions/../migrate.cfg")
    find "$versions" -name '[0-9]*.py' -printf '%f\n' | sort -n | tail -n 1 |
      sed "s/^0*\([0-9]*\)_.*/$name:\1/"
  done | sort | xargs
}

database=$1
# On Debian and Ubuntu the distribution's Python packages are in one place.
directory=${PYTHON_PACKAGES:-/usr/lib/python3/dist-packages}/$2
wanted=$(heads "$directory")
recorded='SELECT version_num FROM alembic_version'
# Alembic comes first: a service that went over to it may keep its numbered scripts for those who upgrade.
if [[ -z $wanted ]]; then
  mapfile -t numbered < <(find "$directory" -maxdepth 3 -path '*/versions/[0-9][0-9][0-9]_*.py' -printf '%h\n' | sort -u)
  wanted=$(numbers "${numbered[@]}")
  recorded="SELECT CONCAT(repository_id, ':', version) FROM migrate_version"
fi
# A service with several lines may name the newest of the one that its command follows; the other lines do not count then.
named=$(sed -n "s/^LATEST_REVISION = ['\"]\(.*\)['\"].*/\1/p" "$directory/migration.py" 2>/dev/null || true)
if [[ -n $named && " $wanted " == *" $named "* ]]; then
  wanted=$named
fi
found=$(mariadb --batch --skip-column-names "$database" --execute "$recorded" | sort | xargs)
if [[ -n $wanted && $found == "$wanted" ]]; then
  printf '%s: %s (head)\n' "$database" "$found"
else
  printf '%s: at %s; the newest is %s\n' "$database" "${found:-(nothing)}" "${wanted:-(unknown)}"
  exit 1
fi
