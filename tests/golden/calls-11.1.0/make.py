"""Calls that the official client composes by the metadata of a development chain.

    leoma devnet --port 9944 &
    python3 -m venv venv && venv/bin/pip install bittensor==11.1.0
    venv/bin/python make.py ws://127.0.0.1:9944 > golden.json
"""

import asyncio
import json
import sys

import bittensor

COMMIT = bytes(range(40))


async def main(url: str) -> None:
    calls = bittensor.calls
    async with bittensor.Subtensor(url) as client:

        async def encoded(call) -> str:
            return bytes((await client.compose(call)).data).hex()

        weights = calls.SubtensorModule.commit_timelocked_weights
        mechanism = calls.SubtensorModule.commit_timelocked_mechanism_weights
        field = {"TimelockEncrypted": {"encrypted": "0x" + COMMIT.hex(), "reveal_round": 1 << 33}}
        shared = {"commit": COMMIT, "reveal_round": 1 << 33, "commit_reveal_version": 4}
        golden = {
            "client": f"bittensor {bittensor.__version__}",
            "commit": COMMIT.hex(),
            "commit_timelocked_weights": await encoded(weights(netuid=99, **shared)),
            "commit_timelocked_mechanism_weights": await encoded(mechanism(netuid=99, mecid=1, **shared)),
            "set_commitment": await encoded(
                calls.Commitments.set_commitment(netuid=99, info={"fields": [[field]]})
            ),
        }
    print(json.dumps(golden, indent=1))


asyncio.run(main(sys.argv[1]))
