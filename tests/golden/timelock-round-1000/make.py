"""Timelocked payloads of the official client, sealed to quicknet's published round 1000.

    python3 -m venv venv && venv/bin/pip install bittensor==11.1.0
    venv/bin/python make.py > golden.json

Sealing draws a random secret, so every run gives other bytes that open to the same text.
"""

import json
import struct

import bittensor_core

ROUND = 1000
SIGNATURE = "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"
TEXT = "sealed by the official client"

envelope, round_number = bittensor_core.encrypt_at_round(TEXT.encode(), ROUND)
assert round_number == ROUND
assert bytes(bittensor_core.decrypt_with_signature(envelope, SIGNATURE)) == TEXT.encode()
# SCALE: compact length (two bytes for 64 to 16383), the ciphertext, the round as u64.
length = struct.unpack("<H", envelope[:2])[0] >> 2
ciphertext = envelope[2 : 2 + length]
assert envelope[2 + length :] == struct.pack("<Q", ROUND)
print(
    json.dumps(
        {
            "client": "bittensor 11.1.0",
            "round": ROUND,
            "signature": SIGNATURE,
            "text": TEXT,
            "envelope": bytes(envelope).hex(),
            "ciphertext": bytes(ciphertext).hex(),
        },
        indent=1,
    )
)
