# shellcheck shell=bash

break_it() {
  if [[ -n $RENAMED ]]; then
    # A repair may have made a new mapping beside the renamed one.
    sql nova_api <<EOF
DELETE FROM host_mappings WHERE host = '$WHOM$RENAMED';
UPDATE host_mappings SET host = '$WHOM$RENAMED' WHERE host = '$WHOM';
EOF
  else
    sql nova_api <<<"DELETE FROM host_mappings WHERE host = '$WHOM';"
  fi
  sql nova <<<"UPDATE compute_nodes SET mapped = 0 WHERE host = '$WHOM' AND deleted = 0;"
  # It knows where each node is until it starts again. It is waited for: one that still starts would show another fault.
  systemctl restart nova-scheduler
}

solve() {
  su -s /bin/sh -c "nova-manage cell_v2 discover_hosts --verbose" nova
}

solve_otherwise() {
  sql nova_api <<EOF
INSERT INTO host_mappings (created_at, cell_id, host) SELECT UTC_TIMESTAMP(), id, '$WHOM' FROM cell_mappings
 WHERE name = 'cell1';
EOF
  sql nova <<<"UPDATE compute_nodes SET mapped = 1 WHERE host = '$WHOM' AND deleted = 0;"
}

# The node is marked as mapped, but the API still does not find it.
repair_wrongly() {
  sql nova <<<"UPDATE compute_nodes SET mapped = 1 WHERE host = '$WHOM' AND deleted = 0;"
  restart nova-scheduler
}
