# shellcheck shell=bash

USUAL=(ComputeFilter ComputeCapabilitiesFilter ImagePropertiesFilter ServerGroupAntiAffinityFilter
  ServerGroupAffinityFilter)

# list NAME…: with commas between them.
list() {
  local IFS=,
  printf '%s' "$*"
}

break_it() {
  local set=$VALUE
  if [[ $VALUE == all ]]; then set=${LAB_COMPUTES// /,}; fi
  option /etc/nova/nova.conf "$SECTION" "$NAME" "$set"
  option /etc/nova/nova.conf filter_scheduler enabled_filters \
    "$(list "${USUAL[@]:0:POSITION}" "$FILTER" "${USUAL[@]:POSITION}")"
  restart nova-scheduler
}

# The guide sets none of these options: the service's own rules are good.
solve() {
  crudini --del /etc/nova/nova.conf filter_scheduler enabled_filters
  crudini --del /etc/nova/nova.conf "$SECTION" "$NAME"
  systemctl restart nova-scheduler
}

# The list stays, without the one; the option goes, because the weighers read weight_setting too.
solve_otherwise() {
  crudini --set /etc/nova/nova.conf filter_scheduler enabled_filters "$(list "${USUAL[@]}")"
  crudini --del /etc/nova/nova.conf "$SECTION" "$NAME"
  systemctl restart nova-scheduler
}

# No rules at all: servers also go to nodes that cannot run them.
repair_wrongly() {
  crudini --set /etc/nova/nova.conf filter_scheduler enabled_filters AllHostsFilter
  restart nova-scheduler
}
