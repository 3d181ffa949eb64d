"""What the golden scripts of CLIP and of DINOv2 draw in place of weights."""
import numpy as np


def name_hash(key):
    value = 0xcbf29ce484222325
    for byte in key.encode():
        value = ((value ^ byte) * 0x100000001b3) & 0xffffffffffffffff
    return value


def unit(key, count):
    with np.errstate(over="ignore"):
        z = np.uint64(name_hash(key)) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9e3779b97f4a7c15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) / 2.0 ** 23 - 1.0


def drawn_tensor(key, sides):
    """As `drawn_value` in src/embed/transformer/parts.rs, for a whole tensor."""
    values = unit(key, int(np.prod(sides)))
    if "embedding" in key and "patch" not in key:
        values = values * 0.5
    elif "layer_scale" in key:
        values = 0.5 + values * 0.25
    elif "norm" in key or "layrnorm" in key:
        values = 1.0 + values * 0.25 if key.endswith("weight") else values * 0.125
    elif key.endswith("bias"):
        values = values * 0.125
    else:
        values = values * np.sqrt(3.0 / float(np.prod(sides[1:])))
    return values.astype(np.float32).reshape(sides)
