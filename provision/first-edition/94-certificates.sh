#!/usr/bin/env bash
#
# Certificates of nova-cert: the root certificate of the cloud, and one of the user, fetched with the nova client.
#
# Guide: Compute service overview, "nova-cert daemon".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install the client'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

heading 'Fetch the certificates'
cd /root
# shellcheck disable=SC1091
. admin-openrc
install -d -m 0700 /root/certificates
cd /root/certificates
# The client overwrites no file.
[[ -s cacert.pem ]] || nova x509-get-root-cert cacert.pem
[[ -s cert.pem ]] || nova x509-create-cert pk.pem cert.pem
openssl x509 -noout -subject -issuer -in cacert.pem
openssl x509 -noout -subject -issuer -in cert.pem
