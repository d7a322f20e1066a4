#!/usr/bin/env bash
#
# nova-cert: X.509 certificates, which nothing but the EC2 API's image bundles ever used. Deprecated in this release.
#
# Guide: Compute service overview, "nova-cert module". Its options keep their defaults: the certificate authority is
# made by the package, in /var/lib/nova/CA.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install the component'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES
# shellcheck disable=SC2086
enable_units $LAB_UNITS

heading 'Finalize installation'
service nova-cert restart
