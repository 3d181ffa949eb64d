#!/usr/bin/env python3
"""Hotkey files as the official wallet writes them: `pip install bittensor-wallet==4.1.1`, then run this in its folder.

The key is Substrate's published `//Alice`, in the form that a URI gives (an expanded key alone), sealed under a password.
"""

from pathlib import Path

import bittensor_wallet
from bittensor_wallet import keyfile

PASSWORD = "pass phrase für Leoma"

plain = keyfile.serialized_keypair_to_keyfile_data(bittensor_wallet.Keypair.create_from_uri("//Alice"))
here = Path(__file__).resolve().parent
here.joinpath("alice.json").write_bytes(plain)
here.joinpath("alice.nacl").write_bytes(keyfile.encrypt_keyfile_data(plain, PASSWORD))
