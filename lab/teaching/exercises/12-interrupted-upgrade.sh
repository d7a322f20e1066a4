# shellcheck shell=bash

# Backwards through the migrations of Placement (placement/db/sqlalchemy/alembic/versions). Those of 611cd6dffd7b and
# b5c396305c25 only look at rows; the two after them change tables.
break_it() {
  local version
  version=$(sql placement <<<'SELECT version_num FROM alembic_version;')
  if [[ $version == a082b8bb98d0 ]]; then
    sql placement <<EOF
CREATE INDEX inventories_resource_provider_id_idx ON inventories (resource_provider_id);
CREATE INDEX inventories_resource_provider_resource_class_idx ON inventories (resource_provider_id, resource_class_id);
CREATE INDEX ix_placement_aggregates_uuid ON placement_aggregates (uuid);
CREATE INDEX resource_providers_name_idx ON resource_providers (name);
CREATE INDEX resource_providers_uuid_idx ON resource_providers (uuid);
EOF
    version=422ece571366
  fi
  if [[ $version == 422ece571366 ]]; then
    sql placement <<EOF
ALTER TABLE consumers DROP FOREIGN KEY IF EXISTS consumers_consumer_type_id_fkey;
ALTER TABLE consumers DROP INDEX IF EXISTS consumers_consumer_type_id_idx;
ALTER TABLE consumers DROP COLUMN consumer_type_id;
DROP TABLE consumer_types;
EOF
  fi
  sql placement <<<"UPDATE alembic_version SET version_num = '$REVISION';"
  restart placement-api
}

solve() {
  su -s /bin/sh -c "placement-manage db sync" placement
  systemctl restart placement-api
}

# The same migration without a login shell, with the file named.
solve_otherwise() {
  systemctl stop placement-api
  runuser -u placement -- placement-manage --config-file /etc/placement/placement.conf db sync
  systemctl start placement-api
}

# The other migrations, which change rows only.
repair_wrongly() {
  su -s /bin/sh -c "placement-manage db online_data_migrations" placement || true
  restart placement-api
}
