#!/usr/bin/env bats
# remove-compute: compute nodes out of OpenStack. The databases are files, one for each table, with the rows that a
# question about the leaving nodes gives; the `openstack` client notes its commands and takes the rows away.

load helpers

setup() {
  setup_lab
  NODE=$BATS_TEST_TMPDIR/lab
  mkdir -p "$NODE"
  cp -r "$PROVISION/remove-compute" "$PROVISION/lib" "$NODE/"
  export LAB_DIR=$NODE LAB_MYSQL=$BATS_TEST_TMPDIR/mysql ROWS=$BATS_TEST_TMPDIR/rows CALLS=$BATS_TEST_TMPDIR/calls
  export LAB_WAIT_FACTOR=1
  export PLACEMENT=placement
  mkdir -p "$LAB_MYSQL"/{nova,nova_api,neutron,placement} "$ROWS"
  printf 'LAB_HAS_NUMBERED_SERVICES=0\nLAB_HAS_NOVA_PLACEMENT=0\n' >"$NODE/env"
  : >"$CALLS"
  stand_in mariadb <<'EOF'
case "$*" in
*'FROM instances'*) table=instances ;;
*'SELECT uuid, `binary`, host FROM services'*'ORDER BY `binary` <> '"'nova-compute'"*) table=services ;;
*'SELECT id, `binary`, host FROM services'*'ORDER BY `binary` <> '"'nova-compute'"*) table=numbered-services ;;
*'UPDATE services s LEFT JOIN compute_nodes'*)
  [[ ! -e $ROWS/half-made ]] || rm "$ROWS/half-made" "$ROWS/numbered-services"
  exit ;;
*'DELETE FROM compute_nodes WHERE deleted <> 0'*) table=kept-record; rm -f "$ROWS/$table" ;;
*'FROM agents'*) table=agents ;;
"--batch --skip-column-names $PLACEMENT "*'FROM resource_providers'*) table=providers ;;
"--batch --skip-column-names $PLACEMENT "*'FROM allocations'*) table=consumers ;;
*'FROM host_mappings'*) table=mappings ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
[[ $* == *"'compute2'"* ]] || { echo "not about compute2: $*" >&2; exit 1; }
[[ ! -e $ROWS/broken ]] || { echo 'cannot connect' >&2; exit 1; }
[[ ! -e $ROWS/$table ]] || cat "$ROWS/$table"
EOF
  stand_in curl <<<'printf 200'
  cat >"$NODE/lib/openstack-batch" <<'EOF'
#!/usr/bin/env bash
echo "version $OS_COMPUTE_API_VERSION" >>"$CALLS"
while read -r line; do
  echo "$line" >>"$CALLS"
  case $line in
  'server delete'*) rm -f "$ROWS/instances" ;;
  'compute service delete'*)
    rm -f "$ROWS"/*services
    [[ -e $ROWS/orphan ]] || rm -f "$ROWS/providers" "$ROWS/mappings" ;;
  'network agent delete'*) rm -f "$ROWS/agents" ;;
  'resource provider allocation delete'*) rm -f "$ROWS/consumers" ;;
  'resource provider delete'*) [[ -e $ROWS/consumers ]] || rm -f "$ROWS/providers" ;;
  esac
done
EOF
  chmod +x "$NODE/lib/openstack-batch"
  stand_in su <<'EOF'
echo "su $*" >>"$CALLS"
rm -f "$ROWS/mappings"
EOF
}

# a_compute: what the databases hold of a node that works.
a_compute() {
  printf 'uuid-service\tnova-compute\tcompute2\n' >"$ROWS/services"
  echo uuid-agent >"$ROWS/agents"
  echo uuid-provider >"$ROWS/providers"
  printf 'uuid-cell\tcompute2\n' >"$ROWS/mappings"
  printf 'instance-compute2\tuuid-1\tactive\tadmin\tcompute2\n' >"$ROWS/instances"
}

@test "drain: no new instances, and the lab's own go" {
  a_compute
  run "$NODE/remove-compute" drain compute2
  [ "$status" = 0 ]
  [ "$(cat "$CALLS")" = 'version 2.53
compute service set --disable --disable-reason "leaves the lab" compute2 nova-compute
server delete uuid-1' ]
}

@test "drain: an instance of somebody else stops it before anything is changed" {
  a_compute
  printf 'my server\tuuid-2\tstopped\tproject\tcompute2\n' >>"$ROWS/instances"
  run "$NODE/remove-compute" drain compute2
  [ "$status" = 3 ]
  [[ $output == 'compute2: instance my server (uuid-2), stopped, project project' ]]
  [ ! -s "$CALLS" ]
}

@test "drain: a node that does not run is down first, so that its instances are deleted without it" {
  a_compute
  LAB_GONE=compute2 run "$NODE/remove-compute" drain compute2
  [ "$status" = 0 ]
  [ "$(sed -n 3p "$CALLS")" = 'compute service set --down compute2 nova-compute' ]
  [ "$(sed -n 4p "$CALLS")" = 'server delete uuid-1' ]
}

@test "drain: a database that does not answer is an error, not an empty node" {
  a_compute
  touch "$ROWS/broken"
  run "$NODE/remove-compute" drain compute2
  [ "$status" = 1 ]
  [ ! -s "$CALLS" ]
}

@test "forget: service and agents are deleted, and nothing is left" {
  a_compute
  run "$NODE/remove-compute" forget compute2
  [ "$status" = 0 ]
  [ "$(cat "$CALLS")" = 'version 2.53
compute service delete uuid-service
network agent delete uuid-agent' ]
  [[ $output == *'nothing is left of: compute2'* ]]
}

@test "forget: a resource provider and a mapping that outlived their service go too" {
  a_compute
  touch "$ROWS/orphan"
  run "$NODE/remove-compute" forget compute2
  [ "$status" = 0 ]
  grep -qx 'resource provider delete uuid-provider' "$CALLS"
  grep -q 'nova-manage cell_v2 delete_host --cell_uuid uuid-cell --host compute2' "$CALLS"
}

@test "forget: what an instance that is gone still takes of a resource provider goes first" {
  a_compute
  touch "$ROWS/orphan"
  echo uuid-1 >"$ROWS/consumers"
  run "$NODE/remove-compute" forget compute2
  [ "$status" = 0 ]
  [ "$(grep '^resource provider' "$CALLS")" = 'resource provider allocation delete uuid-1
resource provider delete uuid-provider' ]
}

# the_first_edition: services have numbers, nova has the tables of placement, and nova-network runs on the node.
the_first_edition() {
  a_compute
  rm "$ROWS/services"
  printf '7\tnova-compute\tcompute2\n9\tnova-network\tcompute2\n' >"$ROWS/numbered-services"
  rm -r "$LAB_MYSQL"/{neutron,placement} "$ROWS/agents"
  PLACEMENT=nova_api
  printf 'LAB_HAS_NUMBERED_SERVICES=1\nLAB_HAS_NOVA_PLACEMENT=1\n' >"$NODE/env"
}

@test "drain, where services have numbers: nova-network of a node that does not run is down too" {
  the_first_edition
  LAB_GONE=compute2 run "$NODE/remove-compute" drain compute2
  [ "$status" = 0 ]
  [ "$(cat "$CALLS")" = 'version 2.11
compute service set --disable --disable-reason "leaves the lab" compute2 nova-compute
compute service set --down compute2 nova-compute
compute service set --disable --disable-reason "leaves the lab" compute2 nova-network
compute service set --down compute2 nova-network
server delete uuid-1' ]
}

@test "forget, where services have numbers: nova-compute goes before nova-network" {
  the_first_edition
  touch "$ROWS/orphan" "$ROWS/kept-record"
  echo uuid-1 >"$ROWS/consumers"
  run "$NODE/remove-compute" forget compute2
  [ "$status" = 0 ]
  [ ! -e "$ROWS/kept-record" ]
  [ "$(grep -v ^su "$CALLS")" = 'version 2.11
compute service delete 7
compute service delete 9
version 2.11
resource provider allocation delete uuid-1
resource provider delete uuid-provider' ]
}

@test "forget, where services have numbers: a nova-compute that the API cannot delete goes without it" {
  the_first_edition
  printf '7\tnova-compute\tcompute2\n' >"$ROWS/numbered-services"
  rm "$ROWS/providers" "$ROWS/mappings" "$ROWS/instances"
  touch "$ROWS/half-made"
  run "$NODE/remove-compute" forget compute2
  [ "$status" = 0 ]
  [ ! -s "$CALLS" ]
}

@test "forget: what cannot be deleted is told" {
  a_compute
  stand_in su <<<'exit 0'
  touch "$ROWS/orphan"
  run "$NODE/remove-compute" forget compute2
  [ "$status" = 1 ]
  [[ $output == *'still there of compute2: uuid-cell'* ]]
}

@test "both may run again: nothing is asked of the client when nothing is there" {
  run "$NODE/remove-compute" drain compute2
  [ "$status" = 0 ]
  run "$NODE/remove-compute" forget compute2
  [ "$status" = 0 ]
  [ ! -s "$CALLS" ]
}

@test "a lab without neutron's database" {
  a_compute
  rm -r "$LAB_MYSQL/neutron" "$ROWS/agents"
  run "$NODE/remove-compute" forget compute2
  [ "$status" = 0 ]
}

@test "a wrong call: exit 2, and nothing is done" {
  for words in '' 'drain' 'remove compute2' 'drain controller' "drain compute2'x"; do
    # shellcheck disable=SC2086
    run "$NODE/remove-compute" $words
    [ "$status" = 2 ]
  done
  [ ! -s "$CALLS" ]
}

@test "the lab's own instances are those that the steps make" {
  source <(sed -n '/^own_instance()/,/^}/p' "$PROVISION/remove-compute")
  for name in $(grep -rhoE 'ensure server create .* [a-z%-]+(\\n)?' "$PROVISION"/*.sh | sed 's/\\n$//; s/.* //; s/%s/compute7/'); do
    own_instance "$name" uuid-1 admin
  done
  run own_instance instance uuid-1 admin
  [ "$status" = 1 ]
  run own_instance compute7 uuid-1 admin
  [ "$status" = 1 ]
}

@test "a user's instance of the same name is not the lab's" {
  source <(sed -n '/^own_instance()/,/^}/p' "$PROVISION/remove-compute")
  run own_instance instance-compute7 uuid-1 demo
  [ "$status" = 1 ]
  printf '{\n "image tiny": "uuid-0",\n "server instance-compute7": "uuid-2"\n}' >"$LAB_STATE/made.json"
  own_instance instance-compute7 uuid-2 admin
  run own_instance instance-compute7 uuid-1 admin
  [ "$status" = 1 ]
}
