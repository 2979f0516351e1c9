#!/usr/bin/env bash
# buf's lint, and its breaking check against main (or BASE, any revision).
set -euo pipefail
cd "$(dirname "$0")/.."
buf=web/node_modules/.bin/buf
base=${BASE:-main}
[ -d build/googleapis ] || scripts/gen.sh build/gen-check
"$buf" lint protos
if ! git rev-parse --verify --quiet "$base^{commit}" >/dev/null; then base=origin/main; fi
if ! git rev-parse --verify --quiet "$base^{commit}" >/dev/null; then base=HEAD; fi
against=$(mktemp -d)
trap 'rm -rf "$against"' EXIT
git archive "$base" protos buf.yaml | tar -x -C "$against"
mkdir -p "$against/build" && cp -r build/googleapis "$against/build/"
"$buf" breaking --against "$against"
