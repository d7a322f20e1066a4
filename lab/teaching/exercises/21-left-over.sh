# shellcheck shell=bash

WHO=5f0c9a10-77b2-4d1e-9a3f-00000$CONSUMER

# It takes everything of one class. The consumer has the project and the user of an existing consumer.
break_it() {
  sql placement <<EOF
INSERT INTO consumers (created_at, uuid, project_id, user_id, generation)
 SELECT UTC_TIMESTAMP(), '$WHO', project_id, user_id, 1 FROM consumers LIMIT 1;
INSERT INTO allocations (created_at, resource_provider_id, consumer_id, resource_class_id, used)
 SELECT UTC_TIMESTAMP(), i.resource_provider_id, '$WHO', i.resource_class_id,
   FLOOR((i.total - i.reserved) * i.allocation_ratio)
 FROM inventories i JOIN resource_providers p ON p.id = i.resource_provider_id
 JOIN resource_classes c ON c.id = i.resource_class_id
 WHERE p.name = '$WHOM' AND c.name = '$CLASS';
EOF
}

solve() {
  batch <<<"resource provider allocation delete $WHO"
}

solve_otherwise() {
  sql placement <<EOF
DELETE FROM allocations WHERE consumer_id = '$WHO';
DELETE FROM consumers WHERE uuid = '$WHO';
EOF
}

# The node says that it has much more.
repair_wrongly() {
  crudini --merge /etc/nova/nova.conf <<EOF
[DEFAULT]
cpu_allocation_ratio = 64
ram_allocation_ratio = 64
disk_allocation_ratio = 64
EOF
  restart nova-scheduler
}
