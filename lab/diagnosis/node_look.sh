# shellcheck shell=bash
#
# Runs on a node, as root: prints what the doctor wants to know, one fact a line, and changes nothing.
# lab.diagnosis.node_look sends this file's text and reads the lines. Every question has a limit: a sick node may be slow.

export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_PAGER=
limit=15
set -o pipefail # no answer is told from an answer that found nothing; so no reader ends before its writer

# unknown WHAT: it was asked, and there was no answer in time, or none at all
unknown() { echo "unknown $*"; }

# clock begin|end SECONDS: around what is quick, so that the reader knows how long it took by the node's own clock
clock() { printf 'clock %s %s\n' "$1" "$(date +%s.%N)"; }

clock begin

# disk USED_PERCENT FREE_KIB MOUNT, inodes likewise: the file systems that keep what is written
timeout "$limit" df -l -P -k -x tmpfs -x devtmpfs -x overlay | awk 'NR > 1 { sub("%", "", $5); print "disk", $5, $4, $6 }' ||
  unknown 'the space of its disks'
timeout "$limit" df -l -P -i -x tmpfs -x devtmpfs -x overlay | awk 'NR > 1 && $2 > 0 { sub("%", "", $5); print "inodes", $5, $4, $6 }' ||
  unknown 'the inodes of its disks'

# memory TOTAL_KIB AVAILABLE_KIB
awk '$1 == "MemTotal:" { total = $2 } $1 == "MemAvailable:" { print "memory", total, $2 }' /proc/meminfo

# oom PROGRAM: each that the kernel killed since the boot because memory ran out
timeout "$limit" dmesg 2>/dev/null | sed -n 's/.*[Oo]ut of memory: Kill.* process [0-9]* (\([^)]*\)).*/oom \1/p' | sort -u ||
  unknown "its kernel's messages"

# cpu svm|vmx, kvm yes: what instances have here
if grep -qw svm /proc/cpuinfo; then echo 'cpu svm'; fi
if grep -qw vmx /proc/cpuinfo; then echo 'cpu vmx'; fi
if [ -c /dev/kvm ]; then echo 'kvm yes'; fi

# done STEP
for mark in /var/lib/lab/done/*; do
  if [ -e "$mark" ]; then printf 'done %s\n' "${mark##*/}"; fi
done

# compute HOST, mapped HOST: nova's compute services, and the hosts that a cell has
ask() { timeout "$limit" mariadb -NBe "$2" 2>/dev/null | sed "s/^/$1 /"; }
if [ -e /var/lib/mysql/nova_api/host_mappings.frm ] && [ -e /var/lib/mysql/nova/services.frm ]; then
  # Both or neither: a host would look unmapped where only the second gave up.
  if computes=$(ask compute "SELECT DISTINCT host FROM nova.services WHERE \`binary\` = 'nova-compute' AND deleted = 0") &&
    mapped=$(ask mapped 'SELECT host FROM nova_api.host_mappings'); then
    printf '%s\n' "$computes" "$mapped"
  else
    unknown "which hosts nova's database has"
  fi
fi

clock end

# unit NAME SUBSTATE RESULT RESTART_LIMIT(yes|no): what failed, or starts again and again. Last: journals are slow to read.
timeout "$limit" systemctl list-units --all --plain --no-legend --state=failed --state=auto-restart 2>/dev/null |
  while read -r unit _; do
    result=$(timeout "$limit" systemctl show -p Result "$unit")
    state=$(timeout "$limit" systemctl show -p SubState "$unit")
    limited=no
    # systemd keeps the result of the last attempt, which hides that it gave up: its own message tells.
    if timeout "$limit" journalctl -q -b -u "$unit" -n 20 -o cat | grep 'repeated too quickly' >/dev/null; then
      limited=yes
    fi
    printf 'unit %s %s %s %s\n' "$unit" "${state#SubState=}" "${result#Result=}" "$limited"
  done || unknown 'which of its units failed'

echo end
