"""A generator and runner for OpenStack Compute test labs: spec -> plan -> Vagrantfile -> VMs -> verified lab."""

import os
import sys

if os.geteuid() == 0 and os.environ.get("SUDO_UID", "0") != "0":
    # The checkout is a user's: compiled files of root's in it could not be removed without sudo.
    sys.dont_write_bytecode = True

__version__ = "0.1.0"
