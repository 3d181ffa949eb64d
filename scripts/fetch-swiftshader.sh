#!/usr/bin/env bash
# Puts SwiftShader, a second software Vulkan driver, into $LEOMA_CACHE/swiftshader, where tests/gpu looks for it.
#
# It is taken out of Debian's package chromium-common by apt-get, which checks Debian's signatures; the package itself is
# not installed. Which version comes does not matter: integer kernels must give the same values on every one. What is
# there already is not fetched again.
set -euo pipefail
cache=${LEOMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leoma}
dir=$cache/swiftshader
if [ -s "$dir/libvk_swiftshader.so" ] && [ -s "$dir/vk_swiftshader_icd.json" ]; then
  echo "$dir"
  exit 0
fi
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
  echo "!!! NO SWIFTSHADER: it comes from Debian's chromium-common, and this system has no apt-get" >&2
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
download() { apt-get download -q -o Acquire::http::Timeout=15 -o Acquire::Retries=1 chromium-common >apt.log 2>&1; }
if ! download; then
  # Without root the lists cannot be brought up to date; then the first answer stands.
  if ! { [ "$(id -u)" -eq 0 ] && apt-get update -qq >/dev/null 2>&1 && download; }; then
    echo "!!! NO SWIFTSHADER: apt-get download chromium-common failed:" >&2
    cat apt.log >&2
    exit 1
  fi
fi
dpkg-deb -x chromium-common_*.deb files
mkdir -p "$dir"
# The manifest last: it says that all is there.
for file in libvk_swiftshader.so vk_swiftshader_icd.json; do
  cp "files/usr/lib/chromium/$file" "$dir/$file.part"
  mv "$dir/$file.part" "$dir/$file"
done
echo "$dir"
