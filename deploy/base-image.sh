#!/bin/sh
# Debian's Python under the name of the Dockerfile's base image, for a machine that reaches no registry of images.
# As root, with mmdebstrap and podman:  deploy/base-image.sh && make image ENGINE=podman
# The Dockerfile must name the image without a digest, which this one cannot have.
set -eu
name=$(sed -n 's/^FROM \(python:[^@ ]*\)$/\1/p' "$(dirname "$0")/../Dockerfile")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# shellcheck disable=SC2016 # mmdebstrap's shell expands it
mmdebstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='ln -s /usr/bin/python3 "$1/usr/local/bin/python"' \
    trixie "$folder/base.tar"
podman import "$folder/base.tar" "$name"
