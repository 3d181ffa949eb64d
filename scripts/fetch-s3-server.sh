#!/usr/bin/env bash
# Builds a real S3 server (`s3s-fs` from crates.io, pinned) into $LEOMA_CACHE/s3s-fs, where tests/storage looks for it, and
# prints its path. It is a program of its own rather than a dependency: its features would have burn built a second time.
# What is there already is not built again: a second run needs no network.
set -euo pipefail
version=0.14.1
cache=${LEOMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leoma}
dir=$cache/s3s-fs
if [[ "$("$dir/bin/s3s-fs" --version 2>/dev/null)" == "s3s-fs $version" ]]; then
  echo "$dir/bin/s3s-fs"
  exit 0
fi
mkdir -p "$cache"
if ! log=$(env -u CARGO_TARGET_DIR cargo install --locked --force --features binary --root "$dir" "s3s-fs@$version" 2>&1); then
  echo "!!! NO S3 SERVER: building s3s-fs $version into $dir failed:" >&2
  echo "$log" | tail -n 20 >&2
  exit 1
fi
echo "$dir/bin/s3s-fs"
