# shellcheck shell=bash
#
# Runs on a node, as root: gives a machine that was made from a golden lab what is its own. lab.golden.own sends this text as
# a command, and files as a tar archive on standard input, because they hold private keys. It does the same again when it
# runs again.
#
#   random                 64 bytes from the host
#   machine-id             the new one
#   ssh_host_*_key, .pub   the new host keys
#   login.pub              the public key that may log in, beside those that may already

set -euo pipefail
umask 077
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

files=$(mktemp -d /run/lab-own.XXXXXX)
trap 'rm -rf "$files"' EXIT
tar -C "$files" -xf -

# First of all: the kernels of all labs from one golden lab would give the same random numbers. RNDADDENTROPY and
# RNDRESEEDCRNG of random(4).
python3 - "$files/random" <<'PYTHON'
import fcntl
import struct
import sys

with open(sys.argv[1], "rb") as file:
    data = file.read()
with open("/dev/urandom", "wb") as kernel:
    fcntl.ioctl(kernel, 0x40085203, struct.pack("ii", len(data) * 8, len(data)) + data)
    fcntl.ioctl(kernel, 0x5207)
PYTHON

# The golden lab's key may log in until the new one has been used: whatever interrupts this, one of them opens.
authorized=$(getent passwd "$SUDO_USER" | cut -d: -f6)/.ssh/authorized_keys
if ! grep -qxFf "$files/login.pub" "$authorized"; then
  cat "$files/login.pub" >>"$authorized"
fi

# The journals follow the machine id: journalctl shows those of the machine's own directory only.
old=$(cat /etc/machine-id) new=$(cat "$files/machine-id")
for journals in /var/log/journal /run/log/journal; do
  if [[ -d $journals/$old && $old != "$new" ]]; then mv -T "$journals/$old" "$journals/$new"; fi
done
install -m 444 "$files/machine-id" /etc/machine-id.new
mv /etc/machine-id.new /etc/machine-id
if [[ -f /var/lib/dbus/machine-id && ! -L /var/lib/dbus/machine-id ]]; then cp /etc/machine-id /var/lib/dbus/machine-id; fi
systemctl restart systemd-journald

for key in "$files"/ssh_host_*_key; do
  install -m 644 "$key.pub" "/etc/ssh/${key##*/}.pub"
  install -m 600 "$key" "/etc/ssh/${key##*/}"
done
sync
systemctl reload ssh
