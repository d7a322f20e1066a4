# -*- mode: ruby -*-
# vi: set ft=ruby :
#
# Lab demo: OpenStack zed on Debian bookworm, a controller and 2 compute nodes.
#
# Made by `lab render` from the plan beside it (plan.json): a change here is lost when `lab` writes it again.
# By hand: vagrant up, vagrant ssh controller, vagrant halt, vagrant destroy. See README.txt.

# `vagrant up` takes one node after the other: the computes' steps need the controller's.
# `lab up` boots all nodes side by side and then runs the same steps itself, in the order that they need.
ENV["VAGRANT_NO_PARALLEL"] ||= "yes" unless ARGV.include?("--no-provision")

# vagrant-libvirt puts texts into libvirt's XML as they are: a path with & in it must come escaped.
xml = lambda { |text| text.encode(xml: :text).gsub("'", "&apos;").gsub('"', "&quot;") }

Vagrant.configure("2") do |config|
  # `lab` shows Vagrant the boxes: those that it built, or the one that the spec brings, whose checksum is in its name.
  # Without an address of its own Vagrant would look up the name in its cloud, where anybody may register it.
  config.vm.box_url = "file:///missing/run-lab-box-build-first"
  config.vm.box_check_update = false
  config.vm.synced_folder ".", "/vagrant", disabled: true
  # Seconds: a KVM host's 300 and 15, times the factor 4.0 that this host's guests are slower.
  config.vm.boot_timeout = 1200
  config.ssh.connect_timeout = 60

  config.vm.provider :libvirt do |libvirt|
    libvirt.uri = "qemu:///system"
    libvirt.driver = "qemu"
    libvirt.cpu_mode = "maximum" # all that the emulator can: svm with nested paging, so that computes have /dev/kvm
    libvirt.default_prefix = "demo-" # the domains are demo-controller ...
    libvirt.storage_pool_name = "default"
    # Guest flushes are not passed on to the host's disk: several times faster for databases and packages. A VM that is
    # killed loses nothing, a power cut of the host may cost the lab.
    libvirt.disk_driver cache: "unsafe"
    libvirt.graphics_type = "none"
    libvirt.random model: "random"

    # eth0: Vagrant's and ssh's way in. Isolated: no route out of the lab (mode none), addresses by DHCP.
    libvirt.management_network_name = "demo-access"
    libvirt.management_network_address = "192.168.121.0/24"
    libvirt.management_network_mode = "none"
    libvirt.management_network_autostart = true
  end

  # eth1 and eth2 are left unconfigured by Vagrant: 10-environment gives eth1 its address, eth2 becomes the port of
  # Open vSwitch's provider bridge and never has one.
  management = {
    libvirt__network_name: "demo-management",
    libvirt__host_ip: "10.0.0.1",
    libvirt__netmask: "255.255.255.0",
    libvirt__forward_mode: "none",
    libvirt__dhcp_enabled: false,
    libvirt__autostart: true,
    auto_config: false,
  }
  provider = {
    libvirt__network_name: "demo-provider",
    libvirt__host_ip: "203.0.113.1",
    libvirt__netmask: "255.255.255.0",
    libvirt__forward_mode: "none",
    libvirt__dhcp_enabled: false,
    libvirt__autostart: true,
    auto_config: false,
  }

  # The node's scripts, environment and passwords go to /opt/lab, which is root's alone; on the way they pass through a
  # directory that is vagrant's alone.
  payload = lambda do |machine, name|
    machine.vm.provision "payload-directory", type: "shell", privileged: false,
      inline: "rm -rf ~/.lab && mkdir -m 0700 ~/.lab"
    machine.vm.provision "payload-upload", type: "file",
      source: File.join(__dir__, "nodes", name), destination: "/home/vagrant/.lab/payload"
    machine.vm.provision "payload", type: "shell", inline: <<~SHELL
      set -e
      cd /home/vagrant/.lab
      chown -R root:root payload
      chmod -R u=rwx,go= payload
      rm -rf /opt/lab
      mv payload /opt/lab
      rmdir /home/vagrant/.lab
    SHELL
  end

  # controller: 2 CPUs, 5120 MiB, eth1 10.0.0.11
  config.vm.define "controller", primary: true do |machine|
    machine.vm.box = "compute-lab/zed-controller"
    machine.vm.network :private_network, **management, mac: "52:54:00:1a:00:01"
    machine.vm.network :private_network, **provider, mac: "52:54:00:1a:00:02"

    machine.vm.provider :libvirt do |libvirt|
      libvirt.description = xml.call("Source: #{File.join(__dir__, "Vagrantfile")}")
      libvirt.title = "OpenStack Compute lab demo controller"
      libvirt.cpus = 2
      libvirt.memory = 5120
      libvirt.management_network_mac = "52:54:00:1a:00:00"
      libvirt.serial type: "file", source: { path: xml.call(File.join(__dir__, "logs", "controller", "console.log")) }
    end

    payload.call(machine, "controller")
    machine.vm.provision "10-environment", type: "shell", inline: "/opt/lab/run-step 10-environment"
    machine.vm.provision "20-database", type: "shell", inline: "/opt/lab/run-step 20-database"
    machine.vm.provision "50-compute-controller", type: "shell", inline: "/opt/lab/run-step 50-compute-controller"
    machine.vm.provision "60-network-controller", type: "shell", inline: "/opt/lab/run-step 60-network-controller"
    machine.vm.provision "80-first-network", type: "shell", inline: "/opt/lab/run-step 80-first-network"

    # These need the computes: the last compute's trigger runs them.
    machine.vm.provision "70-discover-hosts", type: "shell", run: "never", inline: "/opt/lab/run-step 70-discover-hosts"
    machine.vm.provision "90-first-instance", type: "shell", run: "never", inline: "/opt/lab/run-step 90-first-instance"
  end

  # compute1: 2 CPUs, 3072 MiB, eth1 10.0.0.31
  config.vm.define "compute1" do |machine|
    machine.vm.box = "compute-lab/zed-compute"
    machine.vm.network :private_network, **management, mac: "52:54:00:1a:01:01"
    machine.vm.network :private_network, **provider, mac: "52:54:00:1a:01:02"

    machine.vm.provider :libvirt do |libvirt|
      libvirt.description = xml.call("Source: #{File.join(__dir__, "Vagrantfile")}")
      libvirt.title = "OpenStack Compute lab demo compute1"
      libvirt.cpus = 2
      libvirt.memory = 3072
      libvirt.management_network_mac = "52:54:00:1a:01:00"
      libvirt.nested = true
      libvirt.serial type: "file", source: { path: xml.call(File.join(__dir__, "logs", "compute1", "console.log")) }
    end

    payload.call(machine, "compute1")
    machine.vm.provision "10-environment", type: "shell", inline: "/opt/lab/run-step 10-environment"
    machine.vm.provision "55-compute-node", type: "shell", inline: "/opt/lab/run-step 55-compute-node"
    machine.vm.provision "65-network-compute", type: "shell", inline: "/opt/lab/run-step 65-network-compute"
  end

  # compute2: 2 CPUs, 3072 MiB, eth1 10.0.0.32
  config.vm.define "compute2" do |machine|
    machine.vm.box = "compute-lab/zed-compute"
    machine.vm.network :private_network, **management, mac: "52:54:00:1a:02:01"
    machine.vm.network :private_network, **provider, mac: "52:54:00:1a:02:02"

    machine.vm.provider :libvirt do |libvirt|
      libvirt.description = xml.call("Source: #{File.join(__dir__, "Vagrantfile")}")
      libvirt.title = "OpenStack Compute lab demo compute2"
      libvirt.cpus = 2
      libvirt.memory = 3072
      libvirt.management_network_mac = "52:54:00:1a:02:00"
      libvirt.nested = true
      libvirt.serial type: "file", source: { path: xml.call(File.join(__dir__, "logs", "compute2", "console.log")) }
    end

    payload.call(machine, "compute2")
    machine.vm.provision "10-environment", type: "shell", inline: "/opt/lab/run-step 10-environment"
    machine.vm.provision "55-compute-node", type: "shell", inline: "/opt/lab/run-step 55-compute-node"
    machine.vm.provision "65-network-compute", type: "shell", inline: "/opt/lab/run-step 65-network-compute"

    # Only where this very command provisions, as Vagrant itself decides it: the first `up`, `--provision`, `provision`.
    first = !File.exist?(File.join(__dir__, ".vagrant", "machines", "compute2", "libvirt", "action_provision"))
    asked = (ARGV & ["provision", "--provision"]).any?
    declined = (ARGV & ["--no-provision", "--provision-with"]).any?
    if (first || asked) && !declined
      machine.trigger.after :up, :provision do |trigger|
        trigger.name = "the controller's steps that need the computes"
        trigger.ruby do |env, _machine|
          env.machine(:controller, :libvirt).action(:provision, provision_types: [
            :"70-discover-hosts",
            :"90-first-instance",
          ])
        end
      end
    end
  end
end
