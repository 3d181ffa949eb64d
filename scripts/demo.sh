#!/usr/bin/env bash
# Whole tournament rounds on this machine: `leoma sim` (chain, services, miners) and, as a separate
# process, `leoma run` (the validator), then the report. Exits non-zero when a cheat was paid or no
# honest stand-in won.
#
# Usage: scripts/demo.sh LEOMA ROUNDS [BLOCK_MS]
set -euo pipefail

leoma=$1
rounds=$2
block_ms=${3:-800}
out=demo-out
corpus=$(scripts/fetch-assets.sh --leoma "$leoma")

rm -rf "$out"
mkdir -p "$out"
rules=()
if ! "$leoma" models verify >/dev/null 2>&1; then
  echo "!!! the embedding models are not here (leoma models fetch): rules WITHOUT them, with another digest" >&2
  "$leoma" config rules --without-models >"$out/rules.toml"
  rules=(--rules "$out/rules.toml")
fi
"$leoma" sim --corpus "$corpus" --out "$out" "${rules[@]}" --validator-listen 127.0.0.1:0 --block-time-ms "$block_ms" >"$out/sim.log" 2>&1 &
sim=$!
stop_sim() { kill "$sim" 2>/dev/null || true; wait "$sim" 2>/dev/null || true; }
trap stop_sim EXIT

# sim.json is written last, once everything answers.
for _ in $(seq 600); do
  [ -f "$out/sim.json" ] && break
  kill -0 "$sim" 2>/dev/null || { cat "$out/sim.log" >&2; exit 1; }
  sleep 0.1
done
[ -f "$out/sim.json" ] || { echo "error: the simulation did not start, see $out/sim.log" >&2; exit 1; }
cat "$out/sim.log"

echo
echo "validator: $rounds rounds; its pages are at the address in $out/validator.url while it runs"
# Mesa's device chooser looks for a desktop and prints an error where there is none; the demo needs no chooser.
export NODEVICE_SELECT=1
# Miners have other machines in reality; here they share ours, and their time to answer is shorter than that to score.
nice -n 10 "$leoma" run --config "$out/validator.toml" --rounds-file "$out/rounds.json" --until-rounds "$rounds" \
  --address-file "$out/validator.url"
echo
"$leoma" sim report --out "$out" --from "$out/rounds.json" || {
  code=$?
  if grep -qE '"(answer_timeout|asked_too_late)"' "$out/rounds.json"; then
    echo "If honest stand-ins answered too late, this machine is slow or busy: try  make demo DEMO_BLOCK_MS=$((2 * block_ms))" >&2
  fi
  exit "$code"
}
