#!/usr/bin/env bash
#
# Identity service: keystone, which tells every other service who is asking, and every client where the services are.
#
# Guide: Identity service Installation Tutorial, "Install and configure" and "Create a domain, projects, users, and
# roles". On Debian keystone runs under uwsgi as a unit of its own: the guide's section on Apache does not apply.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Prerequisites: database and grants'
mariadb <<EOF
CREATE DATABASE IF NOT EXISTS keystone;
GRANT ALL PRIVILEGES ON keystone.* TO 'keystone'@'localhost' IDENTIFIED BY '$KEYSTONE_DBPASS';
GRANT ALL PRIVILEGES ON keystone.* TO 'keystone'@'%' IDENTIFIED BY '$KEYSTONE_DBPASS';
EOF

heading 'Install and configure components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

# Deviation: [identity] password_hash_rounds is 4 instead of 12. Each further round doubles the work of every login,
# and at 12 a login takes seconds on an emulated processor; the passwords of a lab need no such protection.
# Deviation: [cache] backend. Every request of every service has its token validated here, which takes some twenty
# queries of the database; the one process remembers the answers.
crudini --merge /etc/keystone/keystone.conf <<EOF
[database]
connection = mysql+pymysql://keystone:$KEYSTONE_DBPASS@controller/keystone

[token]
provider = fernet

[identity]
password_hash_rounds = 4

[cache]
backend = dogpile.cache.memory
EOF
repair_mode /etc/keystone/keystone.conf 0640 root:keystone

# Deviation: one process with four threads instead of eight with 32: each process loads the whole application, and a
# lab has one user at a time. A busy machine's slow clients are not cut off after four seconds. uwsgi reads a request's
# body before the service answers: where a service refuses without reading it, the client may find a reset connection
# instead of the answer (uwsgi documentation, "Things to know").
set_line /etc/keystone/keystone-uwsgi.ini '^processes = ' 'processes = 1'
set_line /etc/keystone/keystone-uwsgi.ini '^threads = ' 'threads = 4'
set_line /etc/keystone/keystone-uwsgi.ini '^socket-timeout' 'socket-timeout = 120'
set_line /etc/keystone/keystone-uwsgi.ini '^post-buffering' 'post-buffering = 65535'

heading 'Populate the Identity service database; initialize the Fernet key repositories'
# Deviation: `keystone-manage` is loaded once for all its commands, which takes ten seconds on an emulated processor.
# The log file is made first, because the first command would make it, and only db_sync runs as keystone.
if [[ ! -e /var/log/keystone/keystone.log ]]; then
  install -o keystone -g adm -m 0640 /dev/null /var/log/keystone/keystone.log
fi
sync_schema keystone keystone loaded keystone keystone-manage db_sync
# keys_are_whole DIRECTORY: at least two keys, and each is one. A set-up that was cut short leaves one, or empty files;
# keystone-manage would take them for good.
keys_are_whole() {
  local all whole
  all=$(find "$1" -type f 2>/dev/null | wc -l)
  whole=$(find "$1" -type f -user keystone -name '[0-9]*' -size +43c -size -46c 2>/dev/null | wc -l)
  ((whole >= 2 && whole == all))
}
for kind in fernet credential; do
  if ! keys_are_whole "/etc/keystone/$kind-keys"; then
    if [[ -n $(find "/etc/keystone/$kind-keys" -type f 2>/dev/null) ]]; then
      say "the $kind keys are incomplete: they are made again; what was encrypted with them is lost"
      rm -rf "/etc/keystone/$kind-keys"
    fi
    loaded root keystone-manage "${kind}_setup" --keystone-user keystone --keystone-group keystone
  fi
done

heading 'Bootstrap the Identity service'
# identity_takes PATH: the Identity API accepts the JSON on stdin; a command line could be read by everybody.
identity_takes() {
  curl --silent --fail --max-time 60 --noproxy '*' --output /dev/null --header 'Content-Type: application/json' \
    --data @- "http://controller:5000/v3/$1"
}
# admin_logs_in: the account admin has the password ADMIN_PASS.
admin_logs_in() {
  identity_takes auth/tokens <<EOF
{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "admin",
"domain": {"id": "default"}, "password": "$ADMIN_PASS"}}}, "scope": {"project": {"name": "admin",
"domain": {"id": "default"}}}}}
EOF
}
# admin_changes_password FILE: the account admin has the password ADMIN_PASS instead of that of FILE. Its owner may do
# that with one request, where `keystone-manage bootstrap` would have to be loaded.
admin_changes_password() {
  local former user
  former=$(sed -n 's/^export OS_PASSWORD=//p' "$1" 2>/dev/null) || return
  user=$(mariadb --batch --skip-column-names keystone --execute \
    "SELECT user_id FROM local_user WHERE domain_id = 'default' AND name = 'admin'") || return
  [[ -n $former && -n $user && $former != "$ADMIN_PASS" ]] || return
  identity_takes "users/$user/password" <<EOF
{"user": {"original_password": "$former", "password": "$ADMIN_PASS"}}
EOF
}
# admin_has_password: as it is, or now.
admin_has_password() {
  admin_logs_in || { admin_changes_password /root/admin-openrc && admin_logs_in; }
}
# Deviation: the password comes from the environment variable that keystone-manage offers for it
# (OS_BOOTSTRAP_PASSWORD) instead of --bootstrap-password, because a command line can be read by everybody on the
# machine.
# Deviation: the service is restarted first: with the database's former password it would let nobody log in.
enable_units keystone
restart_if_changed keystone /etc/keystone/keystone.conf /etc/keystone/keystone-uwsgi.ini
wait_for 'the Identity API' 40 http_answers http://controller:5000/v3 200
if ! admin_has_password; then
  loaded root OS_BOOTSTRAP_PASSWORD="$ADMIN_PASS" keystone-manage bootstrap \
    --bootstrap-admin-url http://controller:5000/v3/ \
    --bootstrap-internal-url http://controller:5000/v3/ \
    --bootstrap-public-url http://controller:5000/v3/ \
    --bootstrap-region-id RegionOne
fi

heading 'Client environment script: /root/admin-openrc'
put_file /root/admin-openrc 0600 <<EOF
export OS_PROJECT_DOMAIN_NAME=Default
export OS_USER_DOMAIN_NAME=Default
export OS_PROJECT_NAME=admin
export OS_USERNAME=admin
export OS_PASSWORD=$ADMIN_PASS
export OS_AUTH_URL=http://controller:5000/v3
export OS_IDENTITY_API_VERSION=3
export OS_IMAGE_API_VERSION=2
EOF

heading 'Create the service project and the service role'
# The three endpoints are those of the bootstrap; here they are only repaired, should one have been changed or
# removed.
"$LAB_DIR/lib/openstack-batch" <<EOF
ensure project create --domain default --description "Service Project" service
ensure role create service
repair endpoint create --region RegionOne identity public http://controller:5000/v3/
repair endpoint create --region RegionOne identity internal http://controller:5000/v3/
repair endpoint create --region RegionOne identity admin http://controller:5000/v3/
EOF
