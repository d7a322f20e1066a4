"""The parts of the command openstack-batch, whose own text tells its language.

At a start they need the standard library alone: the client, which takes long to load, is loaded by its first command.
"""
