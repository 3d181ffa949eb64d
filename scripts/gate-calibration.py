#!/usr/bin/env python3
"""Makes honest and dishonest clips from real ones and prints what the gates of whole clips read.

    python scripts/gate-calibration.py OUT BIN SOURCE[@SECONDS]...

BIN is the example `gate-calibration` (cargo build -p leoma-film --example gate-calibration); OUT gets one JSON line per
clip. Needs ffmpeg, numpy and opencv-python-headless (scripts/flow-accuracy.sh makes a fitting venv).
"""
import json
import os
import subprocess
import sys
import tempfile

import cv2
import numpy as np

W, H, N, FPS = 832, 480, 81, 16


def decode(path, start=0.0, fps=FPS, frames=N):
    """Frames as [n, H * 3 / 2, W] planar YUV 4:2:0."""
    command = ["ffmpeg", "-v", "error", "-ss", str(start), "-i", path, "-vf",
               f"fps={fps},scale={W}:{H}:force_original_aspect_ratio=increase,crop={W}:{H}",
               "-frames:v", str(frames), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    raw = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    found = np.frombuffer(raw, np.uint8).reshape(-1, H * 3 // 2, W).copy()
    return found[np.minimum(np.arange(frames), len(found) - 1)]


def encode(frames, crf, preset="veryfast"):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "x.mp4")
        subprocess.run(["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{W}x{H}", "-r", str(FPS),
                        "-i", "-", "-c:v", "libx264", "-preset", preset, "-crf", str(crf), out],
                       input=np.ascontiguousarray(frames).tobytes(), check=True)
        return decode(out)


def planes(frame):
    """Y, U, V of a packed frame, as views."""
    chroma = frame[H:].reshape(2, H // 2, W // 2)
    return frame[:H], chroma[0], chroma[1]


def each_plane(frames, change):
    out = np.ascontiguousarray(frames.copy())
    for t in range(len(out)):
        for plane in planes(out[t]):
            plane[:] = np.clip(np.rint(change(plane.astype(np.float32), t)), 0, 255)
    return out


def each_luma(frames, change):
    out = np.ascontiguousarray(frames.copy())
    for t in range(len(out)):
        out[t, :H] = np.clip(np.rint(change(out[t, :H].astype(np.float32), t)), 0, 255)
    return out


def mirrored(frames):
    return each_plane(frames, lambda plane, t: plane[:, ::-1])


def mixed(first, second, share):
    shares = np.asarray(share, np.float32)[:, None, None]
    return np.rint((1 - shares) * first + shares * second).clip(0, 255).astype(np.uint8)


def still(frames):
    return np.repeat(frames[:1], N, 0)


def noise(frames, sigma):
    rng = np.random.default_rng(6)
    return each_luma(frames, lambda y, t: y + rng.normal(0, sigma, y.shape) * (t > 0))


def coarse_noise(frames, sigma, cell):
    rng = np.random.default_rng(7)
    def change(y, t):
        grain = rng.normal(0, sigma, (H // cell, W // cell)).astype(np.float32)
        return y + cv2.resize(grain, (W, H), interpolation=cv2.INTER_CUBIC) * (t > 0)
    return each_luma(frames, change)


def boiling(frames, pixels, cell):
    """A smooth warp, new in every frame."""
    rng = np.random.default_rng(5)
    ys, xs = np.mgrid[0:H, 0:W].astype(np.float32)
    def change(y, t):
        field = [cv2.resize(rng.uniform(-pixels, pixels, (H // cell, W // cell)).astype(np.float32), (W, H),
                            interpolation=cv2.INTER_CUBIC) for _ in range(2)]
        return y if t == 0 else cv2.remap(y, xs + field[0], ys + field[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return each_luma(frames, change)


def pingpong(turn):
    return [turn - abs(t % (2 * turn) - turn) for t in range(N)]


def transfer(binary, folder, raw, pace, softness):
    out = os.path.join(folder, "made.yuv")
    subprocess.run([binary, "transfer", raw, str(pace), str(softness), out], check=True)
    return np.fromfile(out, np.uint8).reshape(-1, H * 3 // 2, W)


def honest(binary, folder, raw):
    for name, pace, softness, crf in (("sharp", 1.0, 0, 17), ("lively", 1.3, .2, 23), ("soft", .7, .45, 29)):
        yield f"transfer {name}", encode(transfer(binary, folder, raw, pace, softness), crf)


def copies(real, path, start):
    for crf in (18, 23, 28, 34):
        yield f"G7 crf {crf}", encode(real, crf)
    long = decode(path, start, frames=N + 8)
    ahead = long[4:N + 4].copy()
    ahead[0] = real[0]
    yield "G7 ahead by 4", encode(ahead, 23)
    behind = real[[0] * 4 + list(range(N - 4))]
    yield "G7 behind by 4", encode(behind, 23)
    flipped = mirrored(real)
    flipped[0] = real[0]
    yield "G7 mirrored", encode(flipped, 23)
    yield "G7 double speed", encode(decode(path, start, FPS, 2 * N)[::2], 23)
    yield "G7 half speed", encode(real[[t // 2 for t in range(N)]], 23)
    yield "G7 brighter by 4", encode(each_luma(real, lambda y, t: y + 4 * (t > 0)), 23)


def loops(real):
    for period in (14, 24, 40):
        yield f"G5 loop of {period}", encode(real[[t % period for t in range(N)]], 20)
    for turn in (14, 30, 40):
        yield f"G5 ping-pong at {turn}", encode(real[pingpong(turn)], 20)
    yield "G5 loop of 24, crf 32", encode(real[[t % 24 for t in range(N)]], 32)


def fades(real, other):
    ramp = np.arange(N) / (N - 1)
    yield "G6 still to still", encode(mixed(still(real), np.repeat(other[40:41], N, 0), ramp), 20)
    window = np.clip((np.arange(N) - 20) / 16, 0, 1)
    yield "G6 clip to clip over 16", encode(mixed(real, other, window), 20)
    window = np.clip((np.arange(N) - 40) / 30, 0, 1)
    yield "G6 clip to still over 30", encode(mixed(real, np.repeat(other[:1], N, 0), window), 20)
    yield "G6 first to last", encode(mixed(still(real), np.repeat(real[-1:], N, 0), ramp), 20)


def shimmers(real):
    yield "G3 grain 8", encode(noise(still(real), 8), 20)
    yield "G3 grain 16", encode(noise(still(real), 16), 20)
    yield "G3 blotches of 16", encode(coarse_noise(still(real), 10, 16), 20)
    yield "G3 boiling 3 by 40", encode(boiling(still(real), 3, 40), 20)
    yield "G3 boiling 6 by 80", encode(boiling(still(real), 6, 80), 20)


def main():
    out, binary, sources = sys.argv[1], sys.argv[2], sys.argv[3:]
    clips = []
    for source in sources:
        path, _, start = source.partition("@")
        clips.append((os.path.basename(path).split(".")[0] + "@" + (start or "0"), path, float(start or 0)))
    with open(out, "a") as lines, tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        real = {name: decode(path, start) for name, path, start in clips}
        for index, (name, path, start) in enumerate(clips):
            reference = os.path.join(folder, "reference.yuv")
            real[name].tofile(reference)
            other = real[clips[(index + 1) % len(clips)][0]]
            made = [*honest(binary, folder, reference), *copies(real[name], path, start), *loops(real[name]),
                    *fades(real[name], other), *shimmers(real[name])]
            made += [(f"other {far}", frames) for far, frames in real.items() if far != name]
            files = []
            for i, (_, frames) in enumerate(made):
                files.append(os.path.join(folder, f"{i}.yuv"))
                np.ascontiguousarray(frames).tofile(files[-1])
                if len(files) % 6 == 0 or i + 1 == len(made):
                    told = subprocess.run([binary, "read", reference, *files[-6 if len(files) % 6 == 0 else -(len(files) % 6):]],
                                          stdout=subprocess.PIPE, check=True).stdout.splitlines()
                    for (what, _), line in zip(made[i + 1 - len(told):i + 1], told):
                        gates = json.loads(line)
                        lines.write(json.dumps({"clip": name, "what": what, "gates": gates}) + "\n")
                        lines.flush()
                        fired = [gate for gate, reading in gates.items() if reading["fired"]]
                        print(f"{name:16} {what:24}", *fired, flush=True)
                    for file in files[-len(told):]:
                        os.remove(file)


if __name__ == "__main__":
    main()
