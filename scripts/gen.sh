#!/usr/bin/env bash
# Generates what protos/ says into protos/gen (Python, descriptors for the gateway) and web/src/gen (TypeScript).
# gen.sh DIR writes below DIR instead: the test that generated code is current compares the two.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-.}
bin=$PWD/.venv/bin
export PATH=$bin:$PATH
site=$(python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')

# buf and protoc-gen-es need google/api/*.proto below a root of their own.
mkdir -p build/googleapis/google/api build/googleapis/google/rpc
cp "$site"/google/api/{annotations,http}.proto build/googleapis/google/api/
cp "$site"/google/rpc/{status,error_details,code}.proto build/googleapis/google/rpc/

# Into a fresh folder first, so that nobody who imports the old code meets half of the new.
fresh=$(mktemp -d build/gen.XXXXXX)
trap 'rm -rf "$fresh"' EXIT
python_out=$fresh/python
mkdir -p "$python_out"
mapfile -t files < <(cd protos && find spinapis -name '*.proto' | sort)
mapfile -t services < <(cd protos && grep -rl '^service ' spinapis | sort)
python -m grpc_tools.protoc -I protos -I build/googleapis \
  --python_out="$python_out" --mypy_out=quiet:"$python_out" "${files[@]}"
# The gateway transcodes errors too, so their details belong to its descriptors.
python -m grpc_tools.protoc -I protos -I build/googleapis \
  --include_imports --descriptor_set_out="$fresh/descriptors.binpb" "${files[@]}" google/rpc/error_details.proto google/rpc/status.proto
python -m grpc_tools.protoc -I protos -I build/googleapis \
  --grpc_python_out="$python_out" --mypy_grpc_out=quiet:"$python_out" "${services[@]}"
touch "$python_out/spinapis/py.typed"
mkdir -p "$out/protos/gen"
rm -rf "$out/protos/gen/python"
mv "$python_out" "$out/protos/gen/python"
mv "$fresh/descriptors.binpb" "$out/protos/gen/descriptors.binpb"

es=$PWD/web/node_modules/.bin/protoc-gen-es
if [ -x "$es" ]; then
  es_out=$fresh/web
  mkdir -p "$es_out" "$out/web/src"
  python -m grpc_tools.protoc -I protos -I build/googleapis --plugin=protoc-gen-es="$es" --es_out="$es_out" \
    --es_opt=target=ts "${files[@]}" google/api/annotations.proto google/api/http.proto google/rpc/status.proto google/rpc/error_details.proto
  rm -rf "$out/web/src/gen"
  mv "$es_out" "$out/web/src/gen"
else
  echo "gen: web/node_modules is missing, so TypeScript was not generated: run 'make web-setup' and repeat" >&2
fi
