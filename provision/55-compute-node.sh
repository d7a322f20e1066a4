#!/usr/bin/env bash
#
# Compute service on a compute node: nova-compute, which makes instances through libvirt.
#
# Guide: Compute service, "Install and configure a compute node".
# The step's last part asks the guide's question — does the processor offer hardware acceleration? — and does not
# believe the answer before a guest has booted with it.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install and configure components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

# The deviations are those of the controller's nova.conf (50-compute-controller), and:
# Deviation: resume_guests_state_on_host_boot, so that the instances of a lab that was switched off come back with it.
# Deviation: nova-compute compares an instance's addresses with the Networking service's every ten minutes instead of
# every minute. It takes eight requests, in which an emulated lab is busy for ten seconds. It counts what the node has
# and what its instances use every five minutes, and as always when one comes or goes: it starts qemu-img for each disk.
source "$LAB_DIR/blocks/nova-conf.sh"
crudini --merge /etc/nova/nova.conf <<EOF
[DEFAULT]
resume_guests_state_on_host_boot = true
heal_instance_info_cache_interval = 600
update_resources_interval = 300
EOF

# The consoles of the instances: one of the two, as on the controller.
# Deviation: server_listen is not 0.0.0.0. A console asks for no password, and only its proxy has to reach it, which
# does so at the management address; at 0.0.0.0 it would listen on the access network too.
if ((LAB_HAS_SPICE)); then
  crudini --merge /etc/nova/nova.conf <<EOF
[vnc]
enabled = false

[spice]
enabled = true
agent_enabled = false
server_listen = \$my_ip
server_proxyclient_address = \$my_ip
html5proxy_base_url = http://controller:6082/spice_auto.html
EOF
  console=http://controller:6082/spice_auto.html
else
  crudini --merge /etc/nova/nova.conf <<EOF
[vnc]
enabled = true
server_listen = \$my_ip
server_proxyclient_address = \$my_ip
novncproxy_base_url = http://controller:6080/vnc_auto.html

[spice]
enabled = false
EOF
  console=http://controller:6080/vnc_auto.html
fi

# An instance's serial port as a socket, which the serial proxy reaches.
if ((LAB_HAS_SERIAL)); then
  crudini --merge /etc/nova/nova.conf <<EOF
[serial_console]
enabled = true
base_url = ws://controller:6083/
proxyclient_address = \$my_ip
EOF
else
  crudini --merge /etc/nova/nova.conf <<EOF
[serial_console]
enabled = false
EOF
fi

# Debian's file names a database; a compute node has none, and reaches it through nova-conductor.
if grep -q '^connection *=' /etc/nova/nova.conf; then
  crudini --del /etc/nova/nova.conf database connection
fi
repair_mode /etc/nova/nova.conf 0640 root:nova

heading 'Finalize installation: does this node support hardware acceleration?'
# The guide: egrep -c '(vmx|svm)' /proc/cpuinfo. One or greater: KVM; zero: QEMU.
count=$(grep -Ec '(vmx|svm)' /proc/cpuinfo || true)
say "egrep -c '(vmx|svm)' /proc/cpuinfo: $count"

# kvm_works: there is a /dev/kvm, and a guest boots with it. Flags and device may be there and yet no guest gets past
# its firmware. The proof is remembered until the next boot of the node.
kvm_works() {
  local proof=/usr/share/compute-lab/proof remembered=$LAB_STATE/kvm-proof
  local boot output
  modprobe kvm_amd 2>/dev/null || modprobe kvm_intel 2>/dev/null || return 1
  [[ -c /dev/kvm ]] || return 1
  [[ -r $proof/vmlinuz ]] || return 0
  boot=$(cat /proc/sys/kernel/random/boot_id)
  [[ $(cat "$remembered" 2>/dev/null) == "$boot" ]] && return 0
  output=$(timeout "$(scaled 10)" qemu-system-x86_64 -accel kvm -cpu host -m 96 -display none -no-reboot -nodefaults \
    -serial stdio -kernel "$proof/vmlinuz" -initrd "$proof/initrd.gz" -append 'console=ttyS0 quiet panic=-1' \
    </dev/null) || true
  [[ $output == *LAB-PROOF-OK* ]] || return 1
  printf '%s\n' "$boot" >"$remembered"
}
virt_type=qemu
reason='the processor offers no hardware acceleration'
if ((count > 0)); then
  started=$SECONDS
  if kvm_works; then
    virt_type=kvm
    reason="a guest boots with /dev/kvm ($((SECONDS - started)) s)"
  else
    reason='the processor says that it has hardware acceleration, but no guest boots with /dev/kvm'
  fi
fi
say "virt_type = $virt_type: $reason"
if [[ $LAB_NESTED == required && $virt_type != kvm ]]; then
  fail "nested virtualization is required, but $reason"
fi
if [[ $virt_type != "$LAB_VIRT_TYPE" ]]; then
  fail "virt_type is $virt_type, expected $LAB_VIRT_TYPE: $reason"
fi

# nova-compute reads this file after nova.conf: virt_type in nova.conf would have no effect.
# cpu_mode: with KVM the host's model, without it none (QEMU's own).
if [[ $LAB_VIRT_TYPE == kvm ]]; then cpu_mode=host-model; else cpu_mode=none; fi
crudini --merge /etc/nova/nova-compute.conf <<EOF
[DEFAULT]
compute_driver = libvirt.LibvirtDriver

[libvirt]
virt_type = $LAB_VIRT_TYPE
cpu_mode = $cpu_mode
EOF
repair_mode /etc/nova/nova-compute.conf 0644 root:root
put_file /etc/modules-load.d/lab-kvm.conf < <(lsmod | awk '$1 ~ /^kvm_/ { print $1 }')

heading 'Restart the Compute service'
enable_units libvirtd nova-compute
start_if_stopped libvirtd
ask_qemu
# Deviation: ten minutes to start instead of 90 seconds, because the unit says itself when it is ready.
start_limit nova-
# Deviation: at boot nova-compute waits for what it talks to, as here below.
start_behind nova-compute http://controller:5000/v3 http://controller:8778/ http://controller:8774/
# Deviation: when the node shuts down, nova-compute ends before the instances do (systemd stops in the reverse order of
# starting). It would take their end for a user's wish, and not start them again at boot.
mkdir -p /etc/systemd/system/machine-.scope.d
put_file /etc/systemd/system/machine-.scope.d/lab.conf <<EOF
[Unit]
Before=nova-compute.service
EOF
# nova-compute gives up, or logs errors, when what it talks to is not there yet; the controller's steps run meanwhile.
wait_for 'the Identity API' 90 http_answers http://controller:5000/v3 200
wait_for 'the Placement API' 30 http_answers http://controller:8778/ 200
wait_for 'the Compute API' 60 http_answers http://controller:8774/ 200
wait_for 'the console proxy, started last on the controller' 30 http_answers "$console" 200
restart_if_changed nova-compute /etc/nova/nova.conf /etc/nova/nova-compute.conf
