"""Boxes: bootable disk images of a distribution's own packages, for Vagrant.

ensure_boxes(wanted)      build what is missing or out of date         (build)
list_boxes, remove_box    the cache                                    (store)
register                  show a box to Vagrant, without a copy        (store)
place_base_volume         put its image into a storage pool            (store)
proof_images              kernel and initrd that prove an accelerator  (proof)
"""

from lab.box.build import BoxEvent, ensure_boxes
from lab.box.definition import BoxDefinition, BoxSpec, load_definition
from lab.box.guests import PROOF_MARKER
from lab.box.proof import proof_images
from lab.box.store import Box, cache_directory, list_boxes, place_base_volume, register, remove_box, volume_name

__all__ = [
    "PROOF_MARKER",
    "Box",
    "BoxDefinition",
    "BoxEvent",
    "BoxSpec",
    "cache_directory",
    "ensure_boxes",
    "list_boxes",
    "load_definition",
    "place_base_volume",
    "proof_images",
    "register",
    "remove_box",
    "volume_name",
]
