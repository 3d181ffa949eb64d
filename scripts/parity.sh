#!/usr/bin/env bash
# Our readings beside other people's of the same pictures: the tables of docs/parity.md.
#
#   scripts/parity.sh            prints the tables
#   scripts/parity.sh --write    puts them into docs/parity.md
#   scripts/parity.sh --without-embeddings    leaves out the models, whose test takes long to build
#
# Takes some three minutes once everything is built and fetched. The Python side lives in an environment of its own in the
# cache folder, pinned below: OpenCV (flow, BRISQUE), scikit-image (SSIM), imageio-ffmpeg (an ffmpeg with libvmaf). Filmed clips
# and models are those of scripts/fetch-assets.sh, BRISQUE's model comes from Debian's opencv-data, the flow pairs as
# scripts/flow-accuracy.sh fetches them. PyTorch is not needed: what it computed is committed (tests/golden).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache="${LEOMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leoma}"
venv="$cache/parity-venv"
requirements="numpy==2.2.6 scipy==1.17.1 scikit-image==0.26.0 opencv-contrib-python-headless==4.12.0.88 imageio-ffmpeg==0.8.1"

if [ "$(cat "$venv/installed" 2>/dev/null)" != "$requirements" ]; then
  echo "installing into $venv: $requirements" >&2
  python3 -m venv "$venv"
  # shellcheck disable=SC2086 # words
  "$venv/bin/pip" --quiet --disable-pip-version-check install $requirements >&2
  printf '%s\n' "$requirements" >"$venv/installed"
fi
if ! [ -f "$cache/corpus/corpus.toml" ]; then
  "$root/scripts/fetch-assets.sh" >/dev/null || echo "clips or models could not be fetched" >&2
fi
target="${CARGO_TARGET_DIR:-$cache/target}"
(cd "$root" && CARGO_TARGET_DIR="$target" cargo build --locked --quiet -p leoma-core --example parity --example flow-accuracy)
embeddings="$cache/parity-embeddings.txt"
rm -f "$embeddings"
case " $* " in
  *" --without-embeddings "*) ;;
  *)
    (cd "$root" && CARGO_TARGET_DIR="$target" cargo test --locked --test embed -- --nocapture --include-ignored --test-threads 1 \
      pytorch --skip checkpoint >"$embeddings.all" 2>&1) || { cat "$embeddings.all" >&2; exit 1; }
    grep "largest error relative to PyTorch" "$embeddings.all" >"$embeddings"
    ;;
esac
export PYTHONDONTWRITEBYTECODE=1
exec "$venv/bin/python" "$root/scripts/parity.py" --binaries "$target/debug/examples" --cache "$cache" "$@"
