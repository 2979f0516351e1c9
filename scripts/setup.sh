#!/usr/bin/env bash
# Makes .venv from the hashed lock and installs the project's own distributions editable; does nothing when all is current.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
stamp=.venv/.spin-stamp
current=$(cat requirements/bootstrap.txt requirements/dev.txt requirements/editable.txt ./*/pyproject.toml runtime/kernel/pyproject.toml | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$current" ]; then exit 0; fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "setup: $python is not Python 3.11 or newer: install one, or name it with PYTHON=/path/to/python3" >&2
  exit 1
fi
echo "setup: making the Python environment in .venv"
export PIP_DISABLE_PIP_VERSION_CHECK=1
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --require-hashes -r requirements/bootstrap.txt
.venv/bin/uv pip sync --quiet --system-certs --python .venv/bin/python --require-hashes requirements/dev.txt
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -r requirements/editable.txt
echo "$current" >"$stamp"
