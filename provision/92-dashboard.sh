#!/usr/bin/env bash
#
# The dashboard: horizon, behind Apache. Log in at http://controller/horizon as admin, in the domain Default.
#
# Guide: Dashboard, "Install and configure for Ubuntu".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install and configure components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

# Deviation: a file of its own, which the dashboard reads after the package's local_settings.py, instead of edits there.
# Deviation: no memcached for the sessions, because the name of its backend changes with Django's version. The package's
# own choice, the memory of the one process that serves the dashboard, lasts until Apache restarts.
# Deviation: the role member, because keystone-manage bootstrap makes no role user.
router=False
if ((LAB_HAS_SELF_SERVICE)); then
  router=True
fi
put_file /etc/openstack-dashboard/local_settings.d/_9100_lab.py <<PYTHON
OPENSTACK_HOST = "controller"
ALLOWED_HOSTS = ["*"]
OPENSTACK_KEYSTONE_URL = "http://%s:5000/v3" % OPENSTACK_HOST
OPENSTACK_KEYSTONE_MULTIDOMAIN_SUPPORT = True
OPENSTACK_KEYSTONE_DEFAULT_DOMAIN = "Default"
OPENSTACK_KEYSTONE_DEFAULT_ROLE = "member"
OPENSTACK_API_VERSIONS = {
    "identity": 3,
    "image": 2,
    "volume": 3,
}
OPENSTACK_NEUTRON_NETWORK = {
    "enable_router": $router,
    "enable_quotas": False,
    "enable_ipv6": False,
    "enable_distributed_router": False,
    "enable_ha_router": False,
    "enable_fip_topology_check": $router,
}
TIME_ZONE = "UTC"
PYTHON

# WSGIApplicationGroup is the guide's.
# Deviation: one process for the dashboard, apart from Apache's own: each of those would load the dashboard again.
put_file /etc/apache2/conf-available/openstack-dashboard-lab.conf <<CONF
ServerName controller
WSGIProcessGroup horizon
WSGIApplicationGroup %{GLOBAL}
CONF
a2enconf --quiet openstack-dashboard-lab
# The package enables default-ssl without mod_ssl, and Apache does not start with it.
a2dissite --quiet default-ssl
a2ensite --quiet 000-default openstack-dashboard-alias-only

heading 'Finalize installation: reload the web server'
# shellcheck disable=SC2086
enable_units $LAB_UNITS
restart_if_changed apache2 /etc/openstack-dashboard/local_settings.d/_9100_lab.py \
  /etc/apache2/conf-available/openstack-dashboard-lab.conf
wait_for 'the dashboard' 30 http_answers http://controller/horizon/auth/login/ 200
