#!/usr/bin/env bash
# Installs the Debian packages that tests use, if their programs are missing. Elsewhere than on
# Debian it only says what is missing: the tests that need it say so too.
set -euo pipefail

missing=()
need() { # program package why
  command -v "$1" >/dev/null || { missing+=("$2"); echo "missing: $1 ($2): $3" >&2; }
}
need git git 'the version stamp and the house rules read the repository'
if [ "$(uname -s)" = Linux ]; then
  need gcc gcc 'the race detector links C'
  need ip iproute2 'tests put a worker on a network of its own'
  need nsenter util-linux 'the same'
  need losetup mount 'tests fill disks and cut their power'
  need mkfs.ext4 e2fsprogs 'the same'
  need ps procps 'tests look for processes that should be gone'
  need curl curl 'tests run the examples of docs/api.md, which call the API with it'
  # A compiler without the C library's headers cannot link the race detector either.
  [ -e /usr/include/stdlib.h ] || { missing+=(libc6-dev); echo 'missing: C headers (libc6-dev)' >&2; }
fi
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "install: ${missing[*]} (this is not Debian; use your own package manager)" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
    echo "run as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo -n)
fi
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
