#!/usr/bin/env python3
"""The official SDK and `leoma miner` on one development chain: each reads what the other committed.

`pip install bittensor==11.1.0`, then `python tests/official/commitments.py path/to/leoma`. Takes some seconds; ends with
an error when the two disagree.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import bittensor
import bittensor_core
from bittensor import calls, timelock

LEOMA = sys.argv[1]
NETUID, REVISION = 99, "0123456789abcdef0123456789abcdef01234567"
NAMES = ["revealed", "sealed", "plain", "official"]


def wallets(folder):
    """Hotkey files as the official wallet writes them, by name; the hotkeys."""
    hotkeys = {}
    for name in NAMES:
        pair = bittensor_core.Keypair.create_from_uri(f"//leoma-{name}")
        file = Path(folder) / name / "hotkeys" / "default"
        file.parent.mkdir(parents=True)
        file.write_bytes(bittensor_core.serialized_keypair_to_keyfile_data(pair))
        os.chmod(file, 0o600)
        hotkeys[name] = pair.ss58_address
    return hotkeys


def miner(what, name, hotkey, folder, url, *arguments):
    """`leoma miner`'s answer."""
    if what == "commit":
        model = f"someone/leoma-{hotkey}"
        arguments = ["--model", model, "--revision", REVISION, "--chute", f"chute-{name}", "--yes", "--offline", *arguments]
    line = [LEOMA, "miner", what, "--wallet.path", folder, "--wallet.name", name, "--subtensor.chain_endpoint", url]
    ended = subprocess.run([*line, "--json", *arguments], check=True, capture_output=True, timeout=120)
    return json.loads(ended.stdout)


async def compare(folder, url, hotkeys):
    reports = {
        "revealed": miner("commit", "revealed", hotkeys["revealed"], folder, url),
        "sealed": miner("commit", "sealed", hotkeys["sealed"], folder, url, "--reveal-in", "10000", "--no-wait"),
        "plain": miner("commit", "plain", hotkeys["plain"], folder, url, "--plain"),
    }
    async with bittensor.Subtensor(network=url) as chain:
        seen = await chain.subnets.commitments(NETUID)
        for name, report in reports.items():
            theirs = seen[hotkeys[name]]
            assert theirs.status == name, f"{name}: {theirs}"
            if name == "sealed":
                assert theirs.value is None and theirs.reveal_round == report["reveal_round"], theirs
                assert timelock.reveal_time(theirs.reveal_round).timestamp() == report["opens_about"], theirs.reveals_at
            else:
                # The SDK shows the kind of a field that has none of the exact lengths.
                assert json.loads(theirs.value.removeprefix("bigraw:")) == report["commitment"], theirs
            print(f"the SDK sees ours: {name} {theirs.value}")

        text = b"by the official SDK"
        call = calls.Commitments.set_commitment(netuid=NETUID, info={"fields": [[{f"Raw{len(text)}": text}]]})
        wallet = bittensor.Wallet(name="official", hotkey="default", path=folder)
        result = await chain.submit_call(call, wallet, signer="hotkey")
        assert result.success, result
    status = miner("status", "official", hotkeys["official"], folder, url, "--offline")
    live = status["live"][0]
    assert (live["state"], live["text"]) == ("plain", text.decode()), status
    print(f"we see the SDK's: {live}")


with tempfile.TemporaryDirectory() as folder:
    hotkeys = wallets(folder)
    neurons = [argument for hotkey in hotkeys.values() for argument in ("--neuron", hotkey)]
    chain = subprocess.Popen([LEOMA, "devnet", "--port", "0", "--block-time-ms", "500", *neurons], stdout=subprocess.PIPE, text=True)
    try:
        url = next(word.strip(",") for word in chain.stdout.readline().split() if word.startswith("ws://"))
        asyncio.run(compare(folder, url, hotkeys))
    finally:
        chain.terminate()
        chain.wait()
