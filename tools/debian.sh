#!/usr/bin/env bash
# Installs the Debian packages that tests use, or with the argument "peers" those that the benchmark
# measures beside Reeve, if their programs are missing. Elsewhere than on Debian it only says what is
# missing: what needs it says so too.
set -euo pipefail

missing=()
need() { # program package why
  command -v "$1" >/dev/null || { missing+=("$2"); echo "missing: $1 ($2): $3" >&2; }
}
needs_of_tests() {
  need git git 'the version stamp and the house rules read the repository'
  if [ "$(uname -s)" = Linux ]; then
    need gcc gcc 'the race detector links C'
    need ip iproute2 'tests put a worker on a network of its own'
    need nsenter util-linux 'the same'
    need losetup mount 'tests fill disks and cut their power'
    need mkfs.ext4 e2fsprogs 'the same'
    need ps procps 'tests look for processes that should be gone'
    need curl curl 'tests run the examples of docs/api.md, which call the API with it'
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || need initdb postgresql 'tests keep a store in PostgreSQL'
    PATH=$PATH:/usr/sbin need pgbouncer pgbouncer 'tests reach PostgreSQL through it'
    # A compiler without the C library's headers cannot link the race detector either.
    [ -e /usr/include/stdlib.h ] || { missing+=(libc6-dev); echo 'missing: C headers (libc6-dev)' >&2; }
  fi
}
needs_of_peers() {
  need node nodejs 'graphile-worker runs in it'
  need npm npm 'it installs graphile-worker'
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || need initdb postgresql 'River and graphile-worker keep their jobs in PostgreSQL'
  need redis-server redis-server 'Asynq keeps its jobs in Redis'
  need parallel parallel 'it runs processes'
  need sbatch slurm-wlm 'it runs processes'
  need munged munge 'Slurm knows its users by it'
}
case "${1:-tests}" in
  tests) needs_of_tests ;;
  peers) needs_of_peers ;;
  *) echo "usage: $0 [tests|peers]" >&2; exit 2 ;;
esac
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
install() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"; }
if [[ " ${missing[*]} " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
  # Tests make servers of their own. The package would make one and start it, and fail where it can't.
  install postgresql-common
  "${as_root[@]}" pg_conftool /etc/postgresql-common/createcluster.conf set create_main_cluster off
fi
install "${missing[@]}"
