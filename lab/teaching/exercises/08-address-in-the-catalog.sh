# shellcheck shell=bash

# endpoint COMMAND: a command for the endpoint, whose id is {id}.
endpoint() {
  batch <<EOF
let id = endpoint list --service $SERVICE_NAME --interface $INTERFACE --format value --column ID
$1
EOF
}

break_it() {
  case $HOW in
    port) endpoint "endpoint set --url $OTHER_URL {id}" ;;
    region)
      batch <<<'region create RegionTwo' 2>/dev/null || true # it is there after the first time
      endpoint 'endpoint set --region RegionTwo {id}'
      ;;
    missing) endpoint 'endpoint delete {id}' ;;
  esac
}

solve() {
  case $HOW in
    port) endpoint "endpoint set --url $URL {id}" ;;
    region) endpoint 'endpoint set --region RegionOne {id}' ;;
    missing) batch <<<"endpoint create --region RegionOne $TYPE $INTERFACE $URL" ;;
  esac
}

# Delete what is there; the guide's command makes it again.
solve_otherwise() {
  if [[ $HOW != missing ]]; then endpoint 'endpoint delete {id}'; fi
  batch <<<"endpoint create --region RegionOne $TYPE $INTERFACE $URL"
}

# One client gets the address in its own file; all others still do not find the service.
repair_wrongly() {
  crudini --set /etc/nova/nova.conf "$TYPE" endpoint_override "$URL"
  restart nova-api
}
