#!/usr/bin/env python3
"""Degrades real clips step by step and prints the temporal terms of every step.

    python scripts/temporal-calibration.py MEASURES BIN SOURCE[@SECONDS]...

BIN is the example `temporal-calibration` (cargo build -p leoma-core --example temporal-calibration); MEASURES gets one
JSON line per clip. Needs ffmpeg, numpy and opencv-python-headless (scripts/flow-accuracy.sh makes a fitting venv).
"""
import json
import os
import subprocess
import sys
import tempfile

import cv2
import numpy as np

W, H, N = 832, 480, 81
FPS = 16


def decode(path, start=0.0, fps=FPS):
    """Frames as [n, H * 3 / 2, W] planar YUV 4:2:0."""
    command = ["ffmpeg", "-v", "error", "-ss", str(start), "-i", path, "-vf",
               f"fps={fps},scale={W}:{H}:force_original_aspect_ratio=increase,crop={W}:{H}",
               "-frames:v", str(N), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    raw = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, H * 3 // 2, W).copy()


def encode(frames, crf):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "x.mp4")
        subprocess.run(["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{W}x{H}", "-r", str(FPS),
                        "-i", "-", "-c:v", "libx264", "-preset", "fast", "-crf", str(crf), out],
                       input=frames.tobytes(), check=True)
        return decode(out)


def each_luma(frames, change):
    out = frames.copy()
    for t in range(len(out)):
        out[t, :H] = np.clip(np.rint(change(out[t, :H].astype(np.float32), t)), 0, 255)
    return out


def gain(frames, share, seed=1):
    rng = np.random.default_rng(seed)
    gains = 1 + share * rng.uniform(-1, 1, len(frames))
    return each_luma(frames, lambda y, t: y * gains[t])


def local_gain(frames, share, seed=2):
    rng = np.random.default_rng(seed)
    def change(y, t):
        coarse = 1 + share * rng.uniform(-1, 1, (5, 8)).astype(np.float32)
        return y * cv2.resize(coarse, (W, H), interpolation=cv2.INTER_CUBIC)
    return each_luma(frames, change)


def order(frames, share, seed=3):
    """Swaps a share of neighbouring frames."""
    rng = np.random.default_rng(seed)
    index = np.arange(len(frames))
    for t in range(1, len(frames) - 2):
        if rng.uniform() < share:
            index[[t, t + 1]] = index[[t + 1, t]]
    return frames[index]


def hold(frames, share, seed=4):
    """Drops a share of frames and shows the one before twice."""
    rng = np.random.default_rng(seed)
    index = np.arange(len(frames))
    for t in range(1, len(frames)):
        if rng.uniform() < share:
            index[t] = index[t - 1]
    return frames[index]


def wobble(frames, pixels, seed=5):
    """A smooth warp, new in every frame."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[0:H, 0:W].astype(np.float32)
    def change(y, t):
        field = [cv2.resize(rng.uniform(-pixels, pixels, (4, 7)).astype(np.float32), (W, H),
                            interpolation=cv2.INTER_CUBIC) for _ in range(2)]
        return y if t == 0 else cv2.remap(y, xs + field[0], ys + field[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return each_luma(frames, change)


def noise(frames, sigma, seed=6):
    rng = np.random.default_rng(seed)
    return each_luma(frames, lambda y, t: y + rng.normal(0, sigma, y.shape))


def blur(frames, sigma):
    return each_luma(frames, lambda y, t: cv2.GaussianBlur(y, (0, 0), sigma))


def zoom(frames, share):
    still = frames[0]
    out = np.repeat(still[None], len(frames), 0)
    def scaled(plane, t):
        h, w = plane.shape
        matrix = cv2.getRotationMatrix2D((w / 2, h / 2), 0, 1 + share * t)
        return cv2.warpAffine(plane, matrix, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    for t in range(len(frames)):
        out[t, :H] = scaled(still[:H], t)
    return out


def steps(frames, other, slower, faster):
    """Every degradation, its strength, and the clip."""
    n = len(frames)
    yield "source", 0, frames
    for crf in (18, 28, 40):
        yield "crf", crf, encode(frames, crf)
    yield "slower", 1, slower
    yield "faster", 1, faster
    for i, share in enumerate((0.01, 0.03, 0.08), 1):
        yield "flicker", i, gain(frames, share)
        yield "local_flicker", i, local_gain(frames, share)
    for i, share in enumerate((0.05, 0.2, 0.5), 1):
        yield "order", i, order(frames, share)
        yield "hold", i, hold(frames, share)
    for i, pixels in enumerate((0.7, 2, 5), 1):
        yield "wobble", i, wobble(frames, pixels)
    for i, sigma in enumerate((2, 6), 1):
        yield "noise", i, noise(frames, sigma)
    yield "blur", 1, blur(frames, 2)
    yield "cut", 1, frames[[t if t < n // 2 else t - n // 2 for t in range(n)]]
    yield "cut", 2, np.concatenate([frames[: n // 2], other[n // 2: n]])
    yield "fade", 1, np.stack([((1 - t / (n - 1)) * frames[t] + t / (n - 1) * other[min(t, len(other) - 1)]).round()
                               .astype(np.uint8) for t in range(n)])
    yield "freeze", 1, np.repeat(frames[:1], n, 0)
    yield "zoom", 1, zoom(frames, 0.003)
    yield "freeze_noise", 1, noise(np.repeat(frames[:1], n, 0), 6)


def main():
    out, binary, sources = sys.argv[1], sys.argv[2], sys.argv[3:]
    clips = []
    for source in sources:
        path, _, start = source.partition("@")
        clips.append((os.path.basename(path) + "@" + (start or "0"), path, float(start or 0)))
    with open(out, "w") as lines, tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for index, (name, path, start) in enumerate(clips):
            frames = decode(path, start)
            _, other_path, other_start = clips[(index + 1) % len(clips)]
            other = decode(other_path, other_start)
            for step, level, clip in steps(frames, other, decode(path, start, 21), decode(path, start, 12)):
                raw = os.path.join(folder, "clip.yuv")
                clip.tofile(raw)
                told = json.loads(subprocess.run([binary, raw], stdout=subprocess.PIPE, check=True).stdout)
                lines.write(json.dumps({"clip": name, "step": step, "level": level, **told}) + "\n")
                lines.flush()
                print(f"{name:24} {step:14} {level:3}", *(f"{k} {v:6}" for k, v in told["terms"].items()), flush=True)


if __name__ == "__main__":
    main()
