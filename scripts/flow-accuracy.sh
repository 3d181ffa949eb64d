#!/usr/bin/env bash
# Endpoint error and time of our flow beside OpenCV's, as the table in docs/flow.md.
#
#   scripts/flow-accuracy.sh            prints the table
#   scripts/flow-accuracy.sh --write    puts it into docs/flow.md
#
# Everything it needs goes to a cache folder: a Python environment with OpenCV, and the photos (Middlebury Motorcycle from
# scikit-image 0.16.2 of PyPI, Aloe from Debian's opencv-doc), by name, version and sha256. A second run needs no network.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache="${LEOMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leoma}/flow-accuracy"
mkdir -p "$cache"
if ! [ -x "$cache/venv/bin/python" ] || ! "$cache/venv/bin/python" -c "import cv2, numpy" 2>/dev/null; then
  echo "making a Python environment in $cache/venv" >&2
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" --quiet install opencv-python-headless==4.12.0.88 numpy >&2
fi
target="${CARGO_TARGET_DIR:-${LEOMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leoma}/target}"
(cd "$root" && CARGO_TARGET_DIR="$target" cargo build --locked --quiet -p leoma-core --example flow-accuracy)
exec "$cache/venv/bin/python" "$root/scripts/flow-accuracy.py" \
  --cache "$cache" --binary "$target/debug/examples/flow-accuracy" --page "$root/docs/flow.md" "$@"
