#!/usr/bin/env bash
# What the tests need beside Python and Node: Chromium, a PostgreSQL server, and for root a container engine. Installs them with apt when root.
set -euo pipefail
missing=()
command -v chromium >/dev/null || missing+=(chromium)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
# Who is not root cannot start an engine: kernels in containers are then not among the kinds that are attacked.
[ "$(id -u)" -ne 0 ] || { command -v dockerd && command -v docker; } >/dev/null || missing+=(docker.io)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "test: missing ${missing[*]}: install with 'sudo apt-get install ${missing[*]}' and repeat" >&2
  exit 1
fi
echo "test: installing ${missing[*]} with apt"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -20 "$log" >&2
  exit 1
fi
