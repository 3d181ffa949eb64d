"""Golden numbers for tests/core/payout.rs: the two window rules, written anew in plain Python.

`compat` is the deployed software's ranking with Python's own floats; `strict` holds bootstrap bounds with
Python's integers. Needs nothing but Python 3 (ran with 3.11):

    python3 tests/golden/payout/make.py > tests/golden/payout/golden.json
"""

import json
import random
from hashlib import sha256

MASK = (1 << 64) - 1


def elect(rates):
    """Index of the latest miner whose rate leads every earlier one's by 0.05; `rates` in commit order."""
    winner = None
    for index, rate in enumerate(rates):
        if all(rate >= earlier + 0.05 for earlier in rates[:index]):
            winner = index
    return winner


def compat_case(rng, miners, rounds):
    """Records (1 pass, 0 fail, None no record) per miner over 100 rounds, and who wins."""
    records = []
    for _ in range(miners):
        skill = rng.choice([0.5, 0.55, 0.6, 0.65, 0.8, 0.85, 0.9])
        presence = rng.choice([0.7, 0.8, 0.82, 0.9, 1.0])
        records.append(
            [int(rng.random() < skill) if rng.random() < presence else None for _ in range(rounds)]
        )
    eligible = []
    for index, record in enumerate(records):
        known = [value for value in record if value is not None]
        if known and len(known) >= 0.8 * rounds:
            eligible.append((index, sum(known) / len(known)))
    winner = elect([rate for _, rate in eligible])
    text = ["".join("-" if value is None else str(value) for value in record) for record in records]
    return {"records": text, "winner": None if winner is None else eligible[winner][0]}


class SplitMix64:
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)


def bound(differences, seed, resamples, level_ppm, challengers):
    source = SplitMix64(seed)
    count = len(differences)
    sums = sorted(
        sum(differences[source.next() * count >> 64] for _ in range(count)) for _ in range(resamples)
    )
    return sums[resamples * level_ppm // (1_000_000 * challengers) - 1]


def pair_seed(rules, champion, challenger):
    digest = sha256()
    for part in (b"leoma/window-strict", rules, champion, challenger):
        digest.update(len(part).to_bytes(8, "little") + part)
    return int.from_bytes(digest.digest()[:8], "little")


def strict_case(rng, count, lead, spread, resamples, level_ppm, challengers):
    differences = [round(rng.gauss(lead, spread)) for _ in range(count)]
    keys = [bytes([rng.randrange(256)] * 32) for _ in range(3)]
    seed = pair_seed(*keys)
    return {
        "rules": keys[0].hex(),
        "champion": keys[1].hex(),
        "challenger": keys[2].hex(),
        "seed": str(seed),
        "differences": differences,
        "resamples": resamples,
        "level_ppm": level_ppm,
        "challengers": challengers,
        "bound": bound(differences, seed, resamples, level_ppm, challengers),
    }


rng = random.Random(99)
leads = [[count, (count + 5) / 100 >= count / 100 + 0.05] for count in range(96)]
print(
    json.dumps(
        {
            "exact_leads_of_five_points": leads,
            "compat": [compat_case(rng, rng.randrange(1, 9), 100) for _ in range(60)]
            + [compat_case(rng, rng.randrange(1, 6), rng.randrange(1, 30)) for _ in range(20)],
            "strict": [
                strict_case(rng, 60, 300, 800, 2000, 50_000, 1),
                strict_case(rng, 100, 150, 400, 2000, 50_000, 16),
                strict_case(rng, 81, 0, 2500, 1000, 100_000, 1),
                strict_case(rng, 100, 900, 1500, 16384, 50_000, 256),
            ],
        },
        separators=(",", ":"),
    )
)
