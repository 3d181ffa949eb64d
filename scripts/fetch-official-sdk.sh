#!/usr/bin/env bash
# Puts the official Python SDK (`bittensor`, pinned) into a virtual environment of its own, $LEOMA_CACHE/official-sdk,
# where tests/official looks for it, and prints that environment's Python.
#
# The packages are those of tests/official/requirements.txt, by hash and as wheels only, so that nothing is compiled and
# nothing else comes in. Any Python from 3.10 on with any pip will do: python3-venv is not needed. What is there already is
# not fetched again: a second run needs no network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cache=${LEOMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leoma}
dir=$cache/official-sdk
requirements=tests/official/requirements.txt
# The list of what was installed is written last: it says that all is there. Python itself may have been upgraded since.
if cmp -s "$requirements" "$dir/requirements.txt" && "$dir/bin/python" -c 'import bittensor' 2>/dev/null; then
  echo "$dir/bin/python"
  exit 0
fi
if ! python3 -m pip --version >/dev/null 2>&1; then
  echo "!!! NO OFFICIAL SDK: it comes by pip, and this system's python3 has none" >&2
  exit 1
fi
rm -rf "$dir"
mkdir -p "$cache"
if ! log=$(
  {
    python3 -m venv --without-pip "$dir" &&
      packages=$("$dir/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))') &&
      python3 -m pip install --quiet --target "$packages" --no-deps --require-hashes --only-binary=:all: \
        --no-cache-dir --disable-pip-version-check --timeout 15 --retries 1 --requirement "$requirements" &&
      "$dir/bin/python" -c 'import bittensor'
  } 2>&1
); then
  echo "!!! NO OFFICIAL SDK: installing $requirements into $dir failed:" >&2
  echo "$log" >&2
  exit 1
fi
cp "$requirements" "$dir/requirements.txt.part"
mv "$dir/requirements.txt.part" "$dir/requirements.txt"
echo "$dir/bin/python"
