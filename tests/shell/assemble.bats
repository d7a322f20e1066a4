#!/usr/bin/env bats
# boxes/assemble.sh: the file system of a box, made by a host that is newer than the box

load helpers

setup() {
  setup_lab
  export PATH=$PATH:/usr/sbin:/sbin BOX_DISK_GIB=1 BOX_CMDLINE=quiet
  mkdir -p "$BATS_TEST_TMPDIR"/{grub,tree}
  touch "$BATS_TEST_TMPDIR"/grub/{boot.img,ext2.mod,moddep.lst}
  sed "s|^readonly GRUB=.*|readonly GRUB=$BATS_TEST_TMPDIR/grub|" "$PROVISION/../boxes/assemble.sh" \
    >"$BATS_TEST_TMPDIR/assemble.sh"
  stand_in sfdisk <<<'cat >/dev/null'
  stand_in grub-mkimage <<'EOF'
while [[ $1 != -o ]]; do shift; done
touch "$2"
EOF
  stand_in qemu-img <<'EOF'
cp --sparse=always "$6" "$7"
EOF
}

@test "what a host's mke2fs turns on by itself is not in a box" {
  export MKE2FS_CONFIG=$BATS_TEST_TMPDIR/mke2fs.conf
  printf '[defaults]\nbase_features = sparse_super,filetype\n[fs_types]\next4 = {\nfeatures = %s\n}\n' \
    has_journal,extent,metadata_csum,metadata_csum_seed,orphan_file >"$MKE2FS_CONFIG"
  bash "$BATS_TEST_TMPDIR/assemble.sh" "$BATS_TEST_TMPDIR/tree" "$BATS_TEST_TMPDIR/box.img"
  dd if="$BATS_TEST_TMPDIR/box.img" of="$BATS_TEST_TMPDIR/root.ext4" bs=1M skip=1 status=none conv=sparse
  features=$(dumpe2fs -h "$BATS_TEST_TMPDIR/root.ext4" 2>/dev/null | sed -n 's/^Filesystem features: *//p')
  [[ $features != *orphan_file* && $features != *metadata_csum_seed* ]]
  [[ $features == *metadata_csum* && $features == *64bit* ]]
}
