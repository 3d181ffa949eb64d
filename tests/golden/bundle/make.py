"""Golden numbers of round bundles by other means: canonical JSON by Python's json, sr25519 by the bindings to schnorrkel
that substrate-interface uses. pip install py-sr25519-bindings base58; python make.py > golden.json
"""
import base58, hashlib, json, sr25519

value = {
    "b": [1, {"z": None, "a": 'quote " backslash \\ slash /'}],
    "a": -3,
    "B": True,
    "": "\b\f\n\r\t\x01\x1f\x7f",
    "large": 9007199254740993,
    "least": -9223372036854775808,
    "greatest": 18446744073709551615,
    "text": "é ß 漢字 \U0001f600 \u2028",
    "nested": {"y": [], "x": {}, "ab": 0, "a b": 0, "a_b": 0, "A": 0},
}
canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
digest = hashlib.sha256(canonical.encode()).digest()
seed = bytes(range(32))
public, secret = sr25519.pair_from_seed(seed)
body = b"\x2a" + public
checksum = hashlib.blake2b(b"SS58PRE" + body).digest()[:2]
signature = sr25519.sign((public, secret), b"leoma/round-bundle/v1" + digest)
print(json.dumps({
    "value": value,
    "canonical": canonical,
    "digest": digest.hex(),
    "seed": seed.hex(),
    "address": base58.b58encode(body + checksum).decode(),
    "signature": signature.hex(),
}, indent=1))
