"""Golden SSIM numbers for tests/quality/ssim.rs, made with scikit-image.

Images come from integer formulas that the test repeats, so no image is committed.
Ran with Python 3, numpy 2.4.6, scikit-image 0.26.0:

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 scikit-image==0.26.0
    venv/bin/python tests/golden/ssim/make.py > tests/golden/ssim/golden.json
"""

import json

import numpy as np
from skimage.metrics import structural_similarity


def mix(x, y):
    """32-bit multiply-xorshift of two coordinates."""
    h = (x * 0x9E3779B1 ^ y * 0x85EBCA77) & 0xFFFFFFFF
    h = ((h ^ h >> 15) * 0x2C1B3C6D) & 0xFFFFFFFF
    h = ((h ^ h >> 12) * 0x297A2D39) & 0xFFFFFFFF
    return h ^ h >> 15


def texture(x, y):
    return abs(x * x // 37 + y * 5 - x * y // 23) % 200 + 20


def image(width, height, change):
    pixels = [[change(x, y) for x in range(width)] for y in range(height)]
    return np.clip(np.array(pixels), 0, 255).astype(np.uint8)


CASES = [
    ("noise_5", 97, 61, lambda x, y: texture(x, y) + mix(x, y) % 11 - 5),
    ("noise_40", 97, 61, lambda x, y: texture(x, y) + mix(x, y) % 81 - 40),
    ("brighter_20", 64, 64, lambda x, y: texture(x, y) + 20),
    ("shifted_1", 120, 45, lambda x, y: texture(x + 1, y)),
    ("half_contrast", 61, 97, lambda x, y: 60 + texture(x, y) // 2),
    ("flat", 33, 29, lambda x, y: 128),
    ("inverted", 50, 40, lambda x, y: 255 - texture(x, y)),
    ("smallest", 11, 11, lambda x, y: texture(x, y) + mix(x, y) % 21 - 10),
    ("frame", 832, 480, lambda x, y: texture(x, y) + mix(x, y) % 31 - 15),
]

golden = []
for name, width, height, change in CASES:
    value = structural_similarity(
        image(width, height, texture),
        image(width, height, change),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )
    golden.append({"name": name, "width": width, "height": height, "ssim": round(float(value), 8)})
print(json.dumps(golden, indent=1))
