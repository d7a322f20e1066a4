#!/usr/bin/env bash
#
# virtualenvs.sh TREE WORK NAME download|build - make one virtualenv, /opt/NAME, out of pinned distributions
#
# Runs on the host, as root, in mount and process namespaces of its own. pip and the compilers run inside TREE, which is
# thrown away later; WORK is at /mnt there.
# Does:     download: fetches what missing.txt pins; build: makes WORK/NAME/made.tar, with the virtualenv as
#           root/opt/NAME and the configuration files of the sources as sources/NAME-VERSION/etc.
# Does not: use a network when it builds; install anything that is not pinned.
# WORK/NAME has bootstrap.txt, pbr.txt, missing.txt and wheels.txt, pins with checksums; sources.txt, names of downloads;
# pip.conf, where the host's pip gets packages from.
# Environment:
#   BOX_DOWNLOADS     directory of what was downloaded
#   BOX_PIP_CACHE     pip's own cache
#   BOX_PYTHON        the interpreter
#   BOX_CERTIFICATES  file of the authorities that pip trusts on this host; empty: pip's own
set -euo pipefail

readonly TREE=$1
readonly WORK=$2
readonly NAME=$3
readonly STAGE=$4
readonly VIRTUALENV=/opt/$NAME
# All that programs in TREE see of the host's environment: a proxy.
environment=(PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8)
environment+=(PIP_CONFIG_FILE="/mnt/$NAME/pip.conf" PIP_CACHE_DIR=/mnt/cache PIP_DISABLE_PIP_VERSION_CHECK=1)
for name in http_proxy https_proxy no_proxy; do
  environment+=("$name=${!name-}")
done

in_tree() {
  chroot "$TREE" env --ignore-environment "${environment[@]}" "$@"
}

mount_tree() {
  mkdir -p "$WORK/downloads" "$WORK/cache"
  mount --bind "$WORK" "$TREE/mnt"
  mount --bind "$BOX_DOWNLOADS" "$TREE/mnt/downloads"
  mount --bind "$BOX_PIP_CACHE" "$TREE/mnt/cache"
  mount --rbind /dev "$TREE/dev"
  mount --rbind /proc "$TREE/proc"
  cp /etc/resolv.conf "$TREE/etc/resolv.conf"
  if [[ -n $BOX_CERTIFICATES ]]; then
    cp "$BOX_CERTIFICATES" "$TREE/etc/ssl/host-certificates.pem"
    environment+=(PIP_CERT=/etc/ssl/host-certificates.pem)
  fi
}

# Setup scripts that ask for pbr would fetch it: it is there before they run.
make_virtualenv() {
  local wheels=("$BOX_DOWNLOADS"/virtualenv-*.whl)

  in_tree env PYTHONPATH="/mnt/downloads/${wheels[0]##*/}" "$BOX_PYTHON" -m virtualenv --quiet --no-download "$VIRTUALENV"
  install_pinned "$NAME/bootstrap.txt"
}

install_pinned() {
  in_tree "$VIRTUALENV/bin/pip" install --no-index --find-links /mnt/downloads --no-deps --requirement "/mnt/$1"
}

download() {
  fetch "$NAME/pbr.txt"
  install_pinned "$NAME/pbr.txt"
  fetch "$NAME/missing.txt"
}

fetch() {
  in_tree "$VIRTUALENV/bin/pip" download --no-deps --dest /mnt/downloads --requirement "/mnt/$1"
}

build() {
  local archive source

  # For the pip too that a setup script may start.
  environment+=(PIP_NO_INDEX=1 PIP_FIND_LINKS=/mnt/downloads)
  install_pinned "$NAME/pbr.txt"
  install_pinned "$NAME/wheels.txt"
  mkdir -p "$WORK/$NAME/sources" "$WORK/$NAME/root/opt"
  while IFS= read -r archive; do
    tar -xf "$BOX_DOWNLOADS/$archive" -C "$WORK/$NAME/sources" --no-same-owner
    source=/mnt/$NAME/sources/${archive%.tar.gz}
    apply_patches "$source"
    in_tree "$VIRTUALENV/bin/pip" install --no-index --no-deps --no-build-isolation "$source"
  done <"$WORK/$NAME/sources.txt"
  in_tree "$VIRTUALENV/bin/pip" check
  mv "$TREE$VIRTUALENV" "$WORK/$NAME/root/opt/"
  cd "$WORK/$NAME"
  find sources -mindepth 2 -maxdepth 2 ! -name etc -exec rm -rf {} +
  tar -cf made.tar root sources
}

# WORK/patches/DISTRIBUTION-WHAT.patch goes with DISTRIBUTION-VERSION.
apply_patches() {
  local source=$1
  local file name=${1##*/}

  for file in "$WORK/patches/${name%-*}"-*.patch; do
    [[ -e $file ]] || continue
    in_tree patch --directory="$source" --strip=1 --fuzz=0 --input="/mnt/patches/${file##*/}"
  done
}

mount_tree
[[ -d $TREE$VIRTUALENV ]] || make_virtualenv
"$STAGE"
