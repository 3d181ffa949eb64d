#!/usr/bin/env python3
"""Timelock vectors by Bittensor's official core: `pip install bittensor==11.1.0` (bittensor_core 0.1.5), then run this.

Needs Linux and a C compiler: the official functions read the clock themselves, so a shim in front of `clock_gettime`
gives them the time that a vector names.

- `reveal_rounds`: `bittensor_core.get_encrypted_commit_v2(uids, weights, version_key, last_epoch_block, pending_epoch_at,
  subnet_epoch_index, tempo, blocks_since_last_step, current_block, subnet_reveal_period_epochs, block_time, hotkey)`
  returns `(sealed, round)`: all inputs, the clock, and the round. `blocks` is how many blocks after `current_block` the
  round's time lies, measured by the same call with blocks as long as a round at a time on a round's border.
- `commitment_rounds`: the round of `bittensor_core.get_encrypted_commitment(data, blocks_until_reveal, block_time)`.
  Both count the round as `(whole seconds of the clock + round(blocks * block_time) - genesis) / 3`.
- `sealed`: a weights payload and a commitment that these functions sealed to round 1000 of quicknet, and what
  `bittensor_core.decrypt_with_signature(sealed, signature_hex)` opens them to.
"""

import ctypes
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

GENESIS, PERIOD = 1_692_803_367, 3
ROUND = 1000
SIGNATURE = "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"
HERE = Path(__file__).resolve().parent
CLOCK = r"""
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static long long now;
void set_now(long long nanoseconds) { now = nanoseconds; }
int clock_gettime(clockid_t id, struct timespec *t) {
  if (id != CLOCK_REALTIME || !now) return syscall(SYS_clock_gettime, id, t);
  t->tv_sec = now / 1000000000LL;
  t->tv_nsec = now % 1000000000LL;
  return 0;
}
"""


def restart_with_clock():
    folder = tempfile.mkdtemp()
    source, library = f"{folder}/clock.c", f"{folder}/clock.so"
    Path(source).write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "LD_PRELOAD": library, "LEOMA_CLOCK": library})


def set_now(millis):
    ctypes.CDLL(os.environ["LEOMA_CLOCK"]).set_now(ctypes.c_longlong(millis * 1_000_000))


def commit(core, row, *, block_time, now_millis, uids=(7,), weights=(65535,), version_key=0, hotkey=bytes(32)):
    set_now(now_millis)
    return core.get_encrypted_commit_v2(
        list(uids), list(weights), version_key, row["last_epoch_block"], row["pending_epoch_at"],
        row["subnet_epoch_index"], row["tempo"], row["blocks_since_last_step"], row["current_block"],
        row["subnet_reveal_period_epochs"], block_time, hotkey,
    )


def open_(core, sealed):
    """`decrypt_with_signature` reads what `encrypt_at_round` writes: a SCALE `(Vec<u8>, u64)` of sealed bytes and round."""
    length = (len(sealed) << 2 | 1).to_bytes(2, "little")
    return core.decrypt_with_signature(length + sealed + ROUND.to_bytes(8, "little"), SIGNATURE)


def schedule(last, head, *, tempo=360, pending=0, index=10, since=None, period=1, block_time=12.0, now=None):
    return {
        "last_epoch_block": last, "pending_epoch_at": pending, "subnet_epoch_index": index, "tempo": tempo,
        "blocks_since_last_step": head - last if since is None else since, "current_block": head,
        "subnet_reveal_period_epochs": period, "block_time": block_time,
        "now_millis": 1_760_000_000_250 if now is None else now,
    }


def schedules():
    rows = [schedule(1000, head) for head in (1000, 1001, 1100, 1358, 1359, 1360, 1361)]
    rows += [schedule(1000, 1100, period=period) for period in (2, 3, 10)]
    rows += [schedule(1000, 1359, period=period) for period in (2, 3)]
    rows += [schedule(1000, 1100, pending=pending) for pending in (900, 1100, 1101, 1102, 1200, 1360, 1361, 5000)]
    rows += [schedule(1000, 1100, pending=pending, period=2) for pending in (1101, 1102, 1200)]
    rows += [schedule(1000, 1100, since=since) for since in (0, 50_398, 50_399, 50_400, 50_401)]
    rows += [schedule(0, 60_000, tempo=65_535, since=50_300), schedule(0, 60_000, tempo=65_535, since=50_300, period=2)]
    rows += [schedule(1000, 1003, tempo=tempo, period=period) for tempo in (1, 2, 5) for period in (1, 3)]
    rows += [schedule(1000, 1100, block_time=seconds) for seconds in (0.25, 1.0, 3.0, 12.5)]
    rows += [schedule(1000, 1100, now=GENESIS * 1000 + millis) for millis in (0, 2_999, 3_000, 50_000_001)]
    chance = random.Random(99)
    for _ in range(24):
        tempo = chance.choice([10, 99, 360, 720])
        last = chance.randrange(1_000_000, 8_000_000)
        head = last + chance.randrange(0, tempo + 5)
        pending = chance.choice([0, 0, head + chance.randrange(-5, 2 * tempo)])
        rows.append(schedule(
            last, head, tempo=tempo, pending=pending, index=chance.randrange(0, 30_000),
            period=chance.choice([1, 1, 2, 4]), block_time=chance.choice([12.0, 12.0, 0.25]),
            now=chance.randrange(1_750_000_000_000, 1_800_000_000_000),
        ))
    return rows


def vectors(core):
    border = (GENESIS + PERIOD * 1_000_000) * 1000
    reveal_rounds = []
    for row in schedules():
        _, round_ = commit(core, row, block_time=row["block_time"], now_millis=row["now_millis"])
        _, on_border = commit(core, row, block_time=float(PERIOD), now_millis=border)
        reveal_rounds.append({**row, "blocks": on_border - 1_000_000, "round": round_})
    commitment_rounds = []
    for blocks in (0, 1, 2, 100):
        for block_time in (12.0, 0.25):
            for now in (1_760_000_000_000, 1_760_000_000_999, 1_760_000_001_000, 1_760_000_002_500):
                set_now(now)
                _, round_ = core.get_encrypted_commitment("x", blocks, block_time)
                row = {"now_millis": now, "blocks_until_reveal": blocks, "block_time": block_time, "round": round_}
                commitment_rounds.append(row)

    at_round = (GENESIS + PERIOD * ROUND + 1) * 1000
    text = json.dumps({
        "model_name": "someone/leoma-wan-5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
        "model_revision": "0123456789abcdef0123456789abcdef01234567",
        "chute_id": "2f1c2a0e-7c40-5f5b-9a39-5c1d5f7e3a10",
    })
    set_now(at_round - 12_000)
    commitment, round_ = core.get_encrypted_commitment(text, 1, 12.0)
    assert round_ == ROUND
    row, hotkey = schedule(1000, 1100), bytes(range(32))
    blocks = next(r["blocks"] for r in reveal_rounds if {k: r[k] for k in row} == row)
    weights, round_ = commit(
        core, row, block_time=12.0, now_millis=at_round - 12_000 * blocks,
        uids=(7, 0, 300), weights=(65535, 0, 1), version_key=9, hotkey=hotkey,
    )
    assert round_ == ROUND
    opened = lambda sealed: open_(core, sealed).hex()
    return {
        "round": ROUND,
        "signature": SIGNATURE,
        "sealed": {
            "commitment": {"text": text, "sealed": commitment.hex(), "opened": opened(commitment)},
            "weights": {
                "hotkey": hotkey.hex(), "uids": [7, 0, 300], "values": [65535, 0, 1], "version_key": 9,
                "sealed": weights.hex(), "opened": opened(weights),
            },
        },
        "commitment_rounds": commitment_rounds,
        "reveal_rounds": reveal_rounds,
    }


def one_row_a_line(value):
    lists = {key: value[key] for key in ("commitment_rounds", "reveal_rounds")}
    rest = {key: value[key] for key in value if key not in lists}
    text = json.dumps(rest, indent=2)[:-2]
    for name, rows in lists.items():
        text += f',\n  "{name}": [\n' + ",\n".join("    " + json.dumps(row) for row in rows) + "\n  ]"
    return text + "\n}\n"


if __name__ == "__main__":
    if "LEOMA_CLOCK" not in os.environ:
        restart_with_clock()
    else:
        import bittensor_core

        HERE.joinpath("golden.json").write_text(one_row_a_line(vectors(bittensor_core)))
