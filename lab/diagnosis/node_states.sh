# shellcheck shell=bash
#
# Runs on a node, as root: writes its versions, states and the ends of its logs, each part after a line "@@ NAME", and
# changes nothing. lab.verbs.support sends this file's text, and hides secrets in what it wrote. No configuration file is read,
# and no program's arguments are listed: passwords are there.

export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_PAGER='' SYSTEMD_COLORS=0
limit=20
lines=200

# part NAME COMMAND…: its output, or how it failed; never for long
part() {
  printf '\n@@ %s\n' "$1"
  shift
  timeout "$limit" "$@" 2>&1 || printf '(%s ended with %s)\n' "$1" "$?"
}

part kernel uname -a
part uptime uptime
# shellcheck disable=SC2016
part packages dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\n'
part units systemctl list-units --all --plain --no-legend --type=service
part failed systemctl list-units --all --plain --no-legend --state=failed --state=auto-restart
part df df -P -h
part inodes df -P -i
part memory free -m
part processes ps -e -o pid,ppid,stat,rss,etime,pcpu,comm --sort=-rss
part addresses ip -brief address
part routes ip route
part sockets ss -lntu
part clock chronyc -n tracking
part dmesg bash -c "dmesg | tail -n $lines"
part steps ls -l /var/lib/lab/done /var/lib/lab/failed

# What the lab's own steps started; the whole journal would be mostly ssh.
units=(chrony mariadb rabbitmq-server memcached etcd apache2 keystone glance-api placement-api libvirtd openvswitch-switch)
part journal-kernel journalctl -q -b -k -n "$lines"
part journal-warnings journalctl -q -b -p warning -n "$lines"
for unit in "${units[@]}" $(systemctl list-units --all --plain --no-legend 'nova-*' 'neutron-*' 2>/dev/null | sed 's/ .*//'); do
  if [ "$(systemctl show -p LoadState "$unit")" = LoadState=loaded ]; then
    part "journal-$unit" journalctl -q -b -u "$unit" -n "$lines"
  fi
done
for log in /var/log/lab/*.log /var/log/{keystone,glance,placement,nova,neutron,apache2,mysql,rabbitmq,libvirt}/*.log \
  /var/log/libvirt/qemu/*.log; do
  if [ -s "$log" ]; then part "log${log//\//-}" tail -n "$lines" "$log"; fi
done
