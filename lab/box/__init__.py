"""Boxes: bootable disk images of a distribution's own packages, for Vagrant."""
