#!/usr/bin/env python3
"""Degrades real clips step by step and prints the terms of every step.

    python scripts/looks-calibration.py OUT BIN SOURCE[@SECONDS]...

BIN is the example `looks-calibration` (cargo build -p leoma-core --example looks-calibration); OUT gets one JSON line per
step. Every damage but the re-encodes is followed by x264 CRF 18, as an answer would be. Needs ffmpeg, numpy and
opencv-python-headless (scripts/flow-accuracy.sh makes a fitting venv).
"""
import itertools
import json
import os
import subprocess
import sys
import tempfile

import cv2
import numpy as np

W, H, N, FPS = 832, 480, int(os.environ.get("FRAMES", "81")), 16
# Clips measured by one call: the reference is measured once for them.
BATCH = 6


def decode(path, start=0.0, fps=FPS):
    """Frames as [n, H * 3 / 2, W] planar YUV 4:2:0."""
    command = ["ffmpeg", "-v", "error", "-ss", str(start), "-i", path, "-vf",
               f"fps={fps},scale={W}:{H}:force_original_aspect_ratio=increase,crop={W}:{H}",
               "-frames:v", str(N), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    raw = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, H * 3 // 2, W).copy()


def encode(frames, crf):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        out = os.path.join(folder, "x.mp4")
        subprocess.run(["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{W}x{H}", "-r", str(FPS),
                        "-i", "-", "-c:v", "libx264", "-preset", "fast", "-crf", str(crf), out],
                       input=frames.tobytes(), check=True)
        return decode(out)


def limited(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def luma(frames, change):
    out = frames.copy()
    for t in range(len(out)):
        out[t, :H] = limited(change(out[t, :H].astype(np.float32), t))
    return out


def chroma(frames, change):
    """`change(u, v)` on planes around zero."""
    out = frames.copy()
    flat = out[:, H:].reshape(len(out), 2, H // 2, W // 2)
    u, v = change(*(flat[:, i].astype(np.float32) - 128 for i in range(2)))
    flat[:, 0], flat[:, 1] = limited(u + 128), limited(v + 128)
    return out


def turned(frames, degrees):
    angle = np.deg2rad(degrees)
    return chroma(frames, lambda u, v: (u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)))


def noise(frames, sigma):
    rng = np.random.default_rng(6)
    return luma(frames, lambda y, t: y + rng.normal(0, sigma, y.shape))


def sharpen(frames, amount, sigma=1.5):
    return luma(frames, lambda y, t: y + amount * (y - cv2.GaussianBlur(y, (0, 0), sigma)))


def lowpass(frames, share):
    """Every frequency above a share of the largest is cut off sharply."""
    def change(y, t):
        spectrum = np.fft.fft2(y)
        keep = (np.abs(np.fft.fftfreq(H))[:, None] <= share / 2) & (np.abs(np.fft.fftfreq(W))[None] <= share / 2)
        return np.fft.ifft2(spectrum * keep).real
    return luma(frames, change)


def pattern(frames, period, level):
    ys, xs = np.mgrid[0:H, 0:W]
    if period == 2:
        sign = (xs + ys) % 2 * 2 - 1
    else:
        sign = np.where((xs % period == 0) | (ys % period == 0), 2.0, 0.0) - 1 / period
    return luma(frames, lambda y, t: y + level * sign)


def contrast(frames, gain):
    return luma(frames, lambda y, t: 126 + gain * (y - 126))


def steps(frames, slower, faster):
    """Every damage, its strength, and the clip."""
    def shown(clip):
        return encode(clip, 18)
    yield "slower", 1, slower
    yield "faster", 1, faster
    for crf in (18, 28, 40, 46):
        yield "crf", crf, encode(frames, crf)
    for sigma in (3, 8):
        yield "noise", sigma, shown(noise(frames, sigma))
    yield "blur", 2, shown(luma(frames, lambda y, t: cv2.GaussianBlur(y, (0, 0), 2)))
    for bits in (6, 5, 4):
        step = 1 << (8 - bits)
        yield "quantise", bits, shown(luma(frames, lambda y, t: np.floor(y / step) * step + step / 2))
    for gain in (0.6, 1.5):
        yield "saturation", gain, shown(chroma(frames, lambda u, v: (u * gain, v * gain)))
    for gain in (0.6,):
        def ramp(u, v):
            share = np.linspace(1, gain, len(u), dtype=np.float32)[:, None, None]
            return u * share, v * share
        yield "saturation_ramp", gain, shown(chroma(frames, ramp))
    for degrees in (10, 20, 40):
        yield "hue", degrees, shown(turned(frames, degrees))
    for levels in (5, 15, 40):
        yield "exposure", levels, shown(luma(frames, lambda y, t: y + levels * t / (len(frames) - 1)))
    yield "contrast", 1.4, shown(contrast(frames, 1.4))
    for amount in (0.5, 1, 2):
        yield "sharpen", amount, shown(sharpen(frames, amount))
    for share in (0.4,):
        yield "lowpass", share, shown(lowpass(frames, share))
    for level in (1, 2, 4):
        yield "checker2", level, shown(pattern(frames, 2, level))
    for period in (8,):
        yield f"grid{period}", 2, shown(pattern(frames, period, 2))


def main():
    out, binary, sources = sys.argv[1], sys.argv[2], sys.argv[3:]
    with open(out, "w") as lines, tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for source in sources:
            path, _, start = source.partition("@")
            name = os.path.basename(path) + "@" + (start or "0")
            frames = decode(path, float(start or 0))
            if len(frames) < N:
                raise SystemExit(f"{source} has {len(frames)} frames")
            real = os.path.join(folder, "real.yuv")
            frames.tofile(real)
            left = steps(frames, decode(path, float(start or 0), FPS * 4 // 3), decode(path, float(start or 0), FPS * 3 // 4))
            while batch := list(itertools.islice(left, BATCH)):
                paths = [os.path.join(folder, f"{i}.yuv") for i in range(len(batch))]
                for path, (_, _, clip) in zip(paths, batch):
                    clip.tofile(path)
                told = subprocess.run([binary, real, *paths], stdout=subprocess.PIPE, check=True).stdout
                for (step, level, _), line in zip(batch, told.splitlines(), strict=True):
                    lines.write(json.dumps({"clip": name, "step": step, "level": level, **json.loads(line)}) + "\n")
                lines.flush()


if __name__ == "__main__":
    main()
