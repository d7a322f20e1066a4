#!/usr/bin/env bash
#
# assemble.sh TREE IMAGE - make a bootable qcow2 disk from a file tree
#
# Runs on the host, as root (the tree's owners are kept). Needs no partition or loop devices, so it also works where the
# kernel has none: the file system is written at its offset in a sparse file, the boot loader behind the MBR.
# Needs: mke2fs, sfdisk, grub-mkimage with the i386-pc modules (grub-pc-bin), qemu-img.
# Does not: change TREE, except for /boot/grub.
# Environment:
#   BOX_DISK_GIB   size of the disk; the root file system fills it
#   BOX_CMDLINE    kernel command line
set -euo pipefail

readonly GRUB=/usr/lib/grub/i386-pc
readonly START=2048 # sectors; the boot loader's core image lies before
readonly SECTOR=512
# Named here, and not left to the host: the e2fsck of an older box refuses what a newer mke2fs turns on by itself.
readonly FEATURES=sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr,has_journal,extent,huge_file,flex_bg
readonly CHECKED_FEATURES=metadata_csum,64bit,dir_nlink,extra_isize

write_boot_files() {
  local tree=$1

  mkdir -p "$tree/boot/grub/i386-pc"
  cp "$GRUB"/*.mod "$GRUB"/*.lst "$tree/boot/grub/i386-pc/"
  # /vmlinuz and /initrd.img are links that Debian's kernel packages keep on the newest kernel.
  cat >"$tree/boot/grub/grub.cfg" <<CONF
set timeout=0
search --no-floppy --label root --set=root
menuentry lab {
  linux /vmlinuz root=LABEL=root ro $BOX_CMDLINE
  initrd /initrd.img
}
CONF
}

main() {
  local tree=$1
  local image=$2
  local raw=$image.raw
  local core=$image.core
  local size_kib

  write_boot_files "$tree"
  rm -f "$raw"
  truncate -s "${BOX_DISK_GIB}G" "$raw"
  printf 'label: dos\nstart=%s, type=83, bootable\n' "$START" | sfdisk --quiet "$raw"

  # Nothing is left for the kernel to initialise later: that would write 400 MB in every VM. Holes cost nothing here.
  size_kib=$((BOX_DISK_GIB * 1024 * 1024 - START * SECTOR / 1024))
  mke2fs -q -F -t ext4 -O "none,$FEATURES,$CHECKED_FEATURES" -L root -m 1 -J size=64 -d "$tree" \
    -E "offset=$((START * SECTOR)),lazy_itable_init=0,lazy_journal_init=0" "$raw" "${size_kib}k"

  grub-mkimage -O i386-pc -d "$GRUB" -p '(hd0,msdos1)/boot/grub' -o "$core" \
    biosdisk part_msdos ext2 search search_label linux normal configfile
  if (($(stat -c %s "$core") > (START - 1) * SECTOR)); then
    printf 'assemble.sh: the boot loader does not fit before the partition\n' >&2
    return 1
  fi
  dd if="$GRUB/boot.img" of="$raw" bs=440 count=1 conv=notrunc status=none
  dd if="$core" of="$raw" bs="$SECTOR" seek=1 conv=notrunc status=none

  qemu-img convert -f raw -O qcow2 "$raw" "$image"
  rm -f "$raw" "$core"
}

main "$@"
