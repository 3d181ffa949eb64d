#!/usr/bin/env python3
"""How far copies of a clip and other honest clips of the same task are from it, by the track of G8 and by hashes of frames.

    python scripts/copy-calibration.py measure BIN SOURCE[@SECONDS]... > tracks.jsonl
    python scripts/copy-calibration.py table tracks.jsonl

BIN is the example `gate-calibration` (cargo build -p leoma-film --example gate-calibration), which makes the stand-ins.
`measure` makes them and their copies and prints a line of JSON per source: all tracks (`domain::track`), and mean differing
bits of the 64-bit hashes (`quality::perceptual`) from frame 16 on. `table` prints what the limits in config/rules.toml make
of them: the table of docs/copies.md, and the nearest pairs. Needs ffmpeg and numpy. Written from the definition, not from the
Rust code.
"""
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np

W, H, N, FPS = 832, 480, 81, 16
COLUMNS, ROWS, SAMPLES, FIRST = 13, 6, 17, 4
with open(Path(__file__).resolve().parent.parent / "config/rules.toml", "rb") as rules:
    GATE = tomllib.load(rules)["scoring"]["gates"]["copy"]
STAND_INS = {"sharp": (1.0, 0.0, 17), "lively": (1.3, 0.2, 23), "soft": (0.7, 0.45, 29)}
PACES = [0.99, 0.98, 0.95, 0.9, 1.1, 1.2]
COPIES = {
    "crf18": (18, None), "crf26": (26, None), "crf32": (32, None), "crf40": (40, None),
    "half_size": (20, "scale=416:240,scale=832:480:flags=bicubic"),
    "third_size": (20, "scale=278:160,scale=832:480:flags=bicubic"),
    "crop_1": (20, "crop=824:476,scale=832:480"), "crop_3": (20, "crop=808:466,scale=832:480"),
    "crop_5": (20, "crop=792:456,scale=832:480"), "crop_corner_3": (20, "crop=808:466:0:0,scale=832:480"),
    "brightness": (20, "eq=brightness=0.04"), "contrast": (20, "eq=contrast=1.1"), "gamma": (20, "eq=gamma=1.15"),
    "saturation": (20, "eq=saturation=1.3"), "hue": (20, "hue=h=15"), "mirror": (20, "hflip"),
    "noise": (20, "noise=alls=12:allf=t"), "sharpen": (20, "unsharp"), "blur": (20, "gblur=1.5"),
    "vignette": (20, "vignette=PI/5"), "tempo_0.9": (20, f"setpts=PTS/0.9,fps={FPS}"),
}


def ffmpeg(arguments, data=None):
    return subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], input=data, stdout=subprocess.PIPE, check=True).stdout


def decode(path, start=0.0, filters="null"):
    raw = ffmpeg(["-ss", str(start), "-i", path, "-vf", filters, "-frames:v", str(N), "-f", "rawvideo", "-pix_fmt", "yuv420p",
                  "-"], b"")
    frames = np.frombuffer(raw, np.uint8).reshape(-1, H * 3 // 2, W)
    return frames[np.minimum(np.arange(N), len(frames) - 1)]


def encoded(frames, crf, filters, folder):
    out = os.path.join(folder, "x.mp4")
    ffmpeg(["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{W}x{H}", "-r", str(FPS), "-i", "-", "-vf", filters or "null",
            "-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-crf", str(crf), out], frames.tobytes())
    return decode(out)


def means(luma, rows, columns):
    """Mean of 16x16 blocks, put together in rows and columns: [frames, rows, columns]."""
    blocks = luma.reshape(len(luma), H // 16, 16, W // 16, 16).mean((2, 4))
    part = lambda n, k: [slice(i * n // k, (i + 1) * n // k) for i in range(k)]
    return np.stack([np.stack([blocks[:, r, c].mean((1, 2)) for c in part(W // 16, columns)], -1)
                     for r in part(H // 16, rows)], 1)


def track(frames):
    times = [(N - 1) * (i + FIRST) // (SAMPLES - 1 + FIRST) for i in range(SAMPLES)]
    return np.rint(16 * means(frames[times, :H].astype(np.float64), ROWS, COLUMNS))


def bits(frames):
    grid = means(frames[16:, :H].astype(np.float64), 8, 9)
    return grid[:, :, :-1] < grid[:, :, 1:]


def measure(binary, sources):
    for source in sources:
        path, _, start = source.partition("@")
        with tempfile.TemporaryDirectory() as folder:
            real = os.path.join(folder, "real")
            scale = f"fps={FPS},scale={W}:{H}:force_original_aspect_ratio=increase,crop={W}:{H}"
            with open(real, "wb") as file:
                file.write(decode(path, float(start or 0), scale).tobytes())

            def stand_in(pace, softness, crf):
                made = os.path.join(folder, "made")
                subprocess.run([binary, "transfer", real, str(pace), str(softness), made], check=True)
                return encoded(np.fromfile(made, np.uint8).reshape(N, H * 3 // 2, W), crf, None, folder)

            honest = {name: stand_in(*style) for name, style in STAND_INS.items()}
            tracks = {name: track(clip) for name, clip in honest.items()}
            tracks |= {f"pace_{pace}": track(stand_in(pace, 0.0, 17)) for pace in PACES}
            hashes = {name: bits(clip) for name, clip in honest.items()}
            differ = lambda one, other: round(float((one != other).sum((1, 2)).mean()), 1)
            differing = {f"{a}/{b}": differ(hashes[a], hashes[b]) for a, b in PAIRS}
            for name in ("sharp", "soft"):
                clip = honest[name]
                made = {kind: encoded(clip, crf, filters, folder) for kind, (crf, filters) in COPIES.items()}
                for shift in (1, 3, 6):
                    made[f"shift_{shift}"] = encoded(clip[np.minimum(np.arange(N) + shift, N - 1)], 20, None, folder)
                tracks |= {f"{name}:{kind}": track(copy) for kind, copy in made.items()}
                differing |= {f"{name}:{kind}": differ(hashes[name], bits(copy)) for kind, copy in made.items()}
            window = f"{Path(path).stem}@{start or 0}"
            flat = {name: values.astype(int).ravel().tolist() for name, values in tracks.items()}
            print(json.dumps({"source": window, "hash_bits": differing, "tracks": flat}), flush=True)


PAIRS = [("sharp", "lively"), ("sharp", "soft"), ("lively", "soft")]

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure", binary, *sources]:
            measure(binary, sources)
        case _:
            sys.exit(__doc__)
