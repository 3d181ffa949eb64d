#!/usr/bin/env python3
"""Measures what the thresholds of src/core/quality/scenes.rs lie between: histogram differences of all frames, and
how many dissolves between the clips are found. Needs numpy and the ffmpeg command.

    scripts/scene-thresholds.py CORPUS_DIR
"""
import pathlib
import subprocess
import sys

import numpy as np

BINS, CUT, LEVELS, RESIDUAL, SPANS = 32, 1800, 24, 0.28, (0.4, 0.8, 1.6)


def thumbnails(path):
    args = ["ffmpeg", "-v", "error", "-i", path, "-vf", "scale=64:36:flags=area,format=gray", "-f", "rawvideo", "-"]
    raw = subprocess.run(args, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, 36 * 64)


def rate(path):
    args = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=avg_frame_rate", "-of", "csv=p=0"]
    text = subprocess.run([*args, path], capture_output=True, check=True, text=True).stdout.strip()
    above, below = text.split("/")
    return float(above) / float(below)


def mixture(frames, start, end):
    """Mean difference of two frames, and the worst residual of the frames at eighths between them."""
    first, last = frames[start].astype(int), frames[end].astype(int)
    apart = np.abs(first - last).mean()
    worst = 0.0
    for eighth in range(1, 8):
        at = start + (end - start) * eighth // 8
        weight = (at - start) / (end - start)
        worst = max(worst, np.abs(frames[at] - ((1 - weight) * first + weight * last)).mean())
    return apart, worst / max(apart, 0.01)


def best(frames, lags):
    """Lowest residual of any pair that differs enough."""
    pairs = (mixture(frames, start, start + lag) for lag in lags for start in range(len(frames) - lag))
    return min((residual for apart, residual in pairs if apart >= LEVELS), default=9.0)


def main():
    clips = {}
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.mp4")):
        frames, fps = thumbnails(path), rate(path)
        clips[path.stem] = frames
        counts = np.array([np.bincount(frame // (256 // BINS), minlength=BINS) for frame in frames])
        moved = np.abs(counts[1:] - counts[:-1]).sum(1) * 10_000 // (2 * frames.shape[1])
        top = [(int(index) + 1, int(moved[index])) for index in np.argsort(moved)[::-1][:8]]
        lowest = best(frames, [max(4, int(np.ceil(fps * span))) for span in SPANS])
        print(f"{path.stem}: {len(frames)} frames; (frame, difference) {top}; lowest residual {lowest:.2f}")
    draw = np.random.default_rng(1)
    for length in (8, 12, 16, 25, 40, 50):
        found = []
        for one in clips.values():
            for other in clips.values():
                if one is other:
                    continue
                a, b = draw.integers(0, len(one) - length - 60), draw.integers(0, len(other) - length - 60)
                weight = np.clip((np.arange(length + 60) - 30) / length, 0, 1)[:, None]
                mixed = one[a : a + length + 60] * (1 - weight) + other[b : b + length + 60] * weight
                found.append(best(np.rint(mixed).astype(np.uint8), [10, 20, 40]))
        hits = sum(residual <= RESIDUAL for residual in found)
        print(f"dissolves of {length} frames: {hits} of {len(found)} found, median residual {np.median(found):.2f}")


if __name__ == "__main__":
    main()
