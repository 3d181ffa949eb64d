#!/usr/bin/env python3
"""How far copies of a clip and other honest clips of the same task are from it, by the track of G8 and by hashes of frames.

    python scripts/copy-calibration.py BIN SOURCE[@SECONDS]...

BIN is the example `gate-calibration` (cargo build -p leoma-film --example gate-calibration), which makes the stand-ins.
Prints a line of JSON per source: distances in 1/1000 (`domain::track`), the limit that the rules give them, mean differing
bits of the 64-bit hashes (`quality::perceptual`) from frame 16 on. Needs ffmpeg and numpy. Written from the
definition, not from the Rust code.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

W, H, N, FPS = 832, 480, 81, 16
COLUMNS, ROWS, SAMPLES, LAG = 13, 6, 17, 4
UNLIKE, CHANGE = 300, 512  # config/rules.toml
STAND_INS = {"sharp": (1.0, 0.0, 17), "lively": (1.3, 0.2, 23), "soft": (0.7, 0.45, 29)}
PACES = [0.99, 0.98, 0.95, 1.2]
COPIES = {
    "crf18": (18, None), "crf26": (26, None), "crf32": (32, None), "crf40": (40, None),
    "half_size": (20, "scale=416:240,scale=832:480:flags=bicubic"),
    "third_size": (20, "scale=278:160,scale=832:480:flags=bicubic"),
    "crop_1": (20, "crop=824:476,scale=832:480"), "crop_3": (20, "crop=808:466,scale=832:480"),
    "crop_5": (20, "crop=792:456,scale=832:480"), "crop_corner_3": (20, "crop=808:466:0:0,scale=832:480"),
    "brightness": (20, "eq=brightness=0.04"), "contrast": (20, "eq=contrast=1.1"), "gamma": (20, "eq=gamma=1.15"),
    "saturation": (20, "eq=saturation=1.3"), "hue": (20, "hue=h=15"), "mirror": (20, "hflip"),
    "noise": (20, "noise=alls=12:allf=t"), "sharpen": (20, "unsharp"), "blur": (20, "gblur=1.5"),
    "vignette": (20, "vignette=PI/5"),
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
    times = [(N - 1) * (i + LAG) // (SAMPLES - 1 + LAG) for i in range(SAMPLES)]
    return np.rint(16 * means(frames[times, :H].astype(np.float64), ROWS, COLUMNS))


def changes(values):
    change = values[LAG:] - values[:-LAG]
    return change - change.mean((1, 2), keepdims=True)


def unlike(one, other):
    found = []
    for mirrored in (one, one[:, :, ::-1]):
        for ahead in (-1, 0, 1):
            a, b = changes(mirrored), changes(other)
            a, b = a[max(0, -ahead):len(a) - max(0, ahead)], b[max(0, ahead):len(b) - max(0, -ahead)]
            found.append(np.abs(a - b).sum() * 2000 / max(np.abs(a).sum() + np.abs(b).sum(), 1))
    return int(min(found))


def bits(frames):
    grid = means(frames[16:, :H].astype(np.float64), 8, 9)
    return grid[:, :, :-1] < grid[:, :, 1:]


def main(binary, sources):
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
            paces = {f"pace_{pace}": track(stand_in(pace, 0.0, 17)) for pace in PACES}
            tracks = {name: track(clip) for name, clip in honest.items()}
            hashes = {name: bits(clip) for name, clip in honest.items()}
            size = lambda name: float(np.abs(changes(tracks[name])).mean() * 16)
            limit = {name: int(UNLIKE * min(max(size(name), CHANGE / 2), CHANGE) / CHANGE) for name in honest}
            copies, copied_bits = {}, {}
            for name in ("sharp", "soft"):
                clip = honest[name]
                made = {kind: encoded(clip, crf, filters, folder) for kind, (crf, filters) in COPIES.items()}
                for shift in (1, 3, 6):
                    made[f"shift_{shift}"] = encoded(clip[np.minimum(np.arange(N) + shift, N - 1)], 20, None, folder)
                copies[name] = {kind: unlike(tracks[name], track(copy)) for kind, copy in made.items()}
                copied_bits[name] = {kind: round(float((hashes[name] != bits(copy)).sum((1, 2)).mean()), 1)
                                     for kind, copy in made.items()}
            pairs = [("sharp", "lively"), ("sharp", "soft"), ("lively", "soft")]
            print(json.dumps({
                "source": source, "change": {name: round(size(name)) for name in honest}, "limit": limit, "copies": copies,
                "honest": {f"{a}/{b}": unlike(tracks[a], tracks[b]) for a, b in pairs},
                "same_model": {name: unlike(tracks["sharp"], other) for name, other in paces.items()},
                "hash_copies": copied_bits,
                "hash_honest": {f"{a}/{b}": round(float((hashes[a] != hashes[b]).sum((1, 2)).mean()), 1) for a, b in pairs},
            }), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
