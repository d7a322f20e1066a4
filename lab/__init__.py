"""A generator and runner for OpenStack Compute test labs: spec -> plan -> Vagrantfile -> VMs -> verified lab."""

__version__ = "0.1.0"
