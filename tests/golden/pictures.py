"""What the golden scripts of embeddings and of CLIP draw alike."""
import numpy as np


def drawn(side, phase):
    """As `probe::drawn`: `[side, side, 3]`, 8 bits."""
    x, y = np.meshgrid(np.arange(side) * 256 // side, np.arange(side) * 256 // side)
    radius = (x - (96 + 48 * phase)) ** 2 + (y - 128) ** 2
    inside = radius < 64 * 64
    stripe = (x + y * (1 + phase)) // 16 % 2 * 80
    return np.stack([np.where(inside, 220 - radius // 32, 40 + stripe), np.where(inside, 60 + stripe, 90 + y // 2),
                     np.where(inside, 40, 200 - x // 2)], axis=-1).astype(np.uint8)
