#!/usr/bin/env python3
"""How far copies of a clip and other honest clips of the same task are from it, by the track of G8 and by hashes of frames.

    python scripts/copy-calibration.py measure BIN SOURCE[@SECONDS]... > tracks.jsonl
    python scripts/copy-calibration.py honest BIN SOURCE[@SECONDS]... >> tracks.jsonl
    python scripts/copy-calibration.py table|pairs tracks.jsonl...

BIN is the example `gate-calibration` (cargo build -p leoma-film --example gate-calibration), which makes the stand-ins.
`measure` makes them and their copies and prints a line of JSON per source: all tracks (`domain::track`), and mean differing
bits of the 64-bit hashes (`quality::perceptual`) from frame 16 on; `honest` makes the stand-ins alone. `table` prints what the
limits of config/rules.toml make of them, as docs/copies.md has it; `pairs` every pair's distances over 4, 8 and 12 samples.
Needs ffmpeg and numpy. Written from the definition, not from the Rust code.
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
SHORT, LONG = 4, 12  # samples of a step
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
PAIRS = [("sharp", "lively"), ("sharp", "soft"), ("lively", "soft")]


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


def measure(binary, sources, copied):
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
            hashes = {name: bits(clip) for name, clip in honest.items()}
            differ = lambda one, other: round(float((one != other).sum((1, 2)).mean()), 1)
            differing = {f"{a}/{b}": differ(hashes[a], hashes[b]) for a, b in PAIRS}
            if copied:
                tracks |= {f"pace_{pace}": track(stand_in(pace, 0.0, 17)) for pace in PACES}
            for name in ("sharp", "soft") if copied else ():
                clip = honest[name]
                altered = {kind: (clip, *how) for kind, how in COPIES.items()}
                altered |= {f"shift_{by}": (clip[np.minimum(np.arange(N) + by, N - 1)], 20, None) for by in (1, 3, 6)}
                for kind, (frames, crf, filters) in altered.items():
                    copy = encoded(frames, crf, filters, folder)
                    tracks[f"{name}:{kind}"] = track(copy)
                    differing[f"{name}:{kind}"] = differ(hashes[name], bits(copy))
            window = f"{Path(path).stem}@{start or 0}"
            flat = {name: values.astype(int).ravel().tolist() for name, values in tracks.items()}
            print(json.dumps({"source": window, "hash_bits": differing, "tracks": flat}), flush=True)


def changes(values, step):
    change = values[step:] - values[:-step]
    return change - change.mean((1, 2), keepdims=True)


def size(values, step=SHORT):
    return float(np.abs(changes(values, step)).mean() * 16)


def unlike(one, other, step):
    found = []
    for mirrored in (one, one[:, :, ::-1]):
        for ahead in (-1, 0, 1):
            a, b = changes(mirrored, step), changes(other, step)
            a, b = a[max(0, -ahead):len(a) - max(0, ahead)], b[max(0, ahead):len(b) - max(0, -ahead)]
            found.append(np.abs(a - b).sum() * 2000 / max(np.abs(a).sum() + np.abs(b).sum(), 1))
    return int(min(found))


class Pair:
    """Two clips: what their tracks read, and what the rules make of it."""

    def __init__(self, one, other):
        self.short, self.long = unlike(one, other, SHORT), unlike(one, other, LONG)
        evidence = min(size(one), size(other)) >= GATE["change"]
        self.by_short, self.by_long = evidence and self.short <= GATE["unlike"], evidence and self.long <= GATE["unlike_long"]
        self.known = self.by_short or self.by_long

    def __str__(self):
        return f"{self.short}/{self.long}"


def read(files):
    for file in files:
        for line in open(file):
            source = json.loads(line)
            tracks = {name: np.array(values, float).reshape(SAMPLES, ROWS, COLUMNS) for name, values in source["tracks"].items()}
            yield source, tracks


def copies_of(tracks, name):
    return {kind.partition(":")[2]: Pair(tracks[name], copy) for kind, copy in tracks.items() if kind.startswith(f"{name}:")}


def table(files):
    named = lambda pairs: ", ".join(f"{kind.replace('_', ' ')} {pair}" for kind, pair in pairs)
    place = lambda source: (source[0]["source"].partition("@")[0], float(source[0]["source"].partition("@")[2]))
    sources = sorted(read(files), key=place)
    everything, nearest, same_model, hashes, alone = [], [], {}, [], []
    print("| clip, stand-in | change | known | by the long step alone | not known | honest pairs |\n|---|---|---|---|---|---|")
    for source, tracks in sources:
        where, bits_off = source["source"], source["hash_bits"]
        honest = {f"{a}/{b}": Pair(tracks[a], tracks[b]) for a, b in PAIRS}
        nearest += [(pair, f"{where} {name}") for name, pair in honest.items()]
        for pace in PACES:
            if f"pace_{pace}" in tracks:
                same_model.setdefault(pace, []).append(Pair(tracks["sharp"], tracks[f"pace_{pace}"]))
        if not copies_of(tracks, "sharp"):
            alone.append(f"{where} {honest['sharp/lively']}")
            continue
        for name in ("sharp", "soft"):
            copies = copies_of(tracks, name)
            everything += copies.values()
            ordered = sorted(copies.items(), key=lambda copy: copy[1].short)
            gained = named(copy for copy in ordered if copy[1].by_long and not copy[1].by_short)
            missed = named(copy for copy in ordered if not copy[1].known)
            pairs = named(honest.items()) if name == "sharp" else ""
            known = sum(pair.known for pair in copies.values())
            print(f"| {where}, {name} | {size(tracks[name]):.0f} | {known} of {len(copies)} | {gained} | {missed} | {pairs} |")
        crop = max(bits_off[f"{name}:crop_3"] for name in ("sharp", "soft"))
        hashes.append(f"{where}: crop 3 % {crop}, honest from {min(bits_off[f'{a}/{b}'] for a, b in PAIRS)}")
    short, either = sum(pair.by_short for pair in everything), sum(pair.known for pair in everything)
    print(f"\ncopies: {len(everything)}, known by the short step {short}, by either {either}")
    print(f"sharp/lively alone: {', '.join(alone)}")
    for name, by in [("short", lambda pair: pair.short / GATE["unlike"]), ("long", lambda pair: pair.long / GATE["unlike_long"])]:
        for pair, where in sorted(nearest, key=lambda pair: by(pair[0]))[:3]:
            print(f"nearest of {len(nearest)} honest pairs, {name} step: {where} {pair}, {by(pair):.2f} times the limit")
    for pace, pairs in same_model.items():
        print(f"pace {pace}: short {min(p.short for p in pairs)} to {max(p.short for p in pairs)}, long "
              f"{min(p.long for p in pairs)} to {max(p.long for p in pairs)}, taken for copies {sum(p.known for p in pairs)} of {len(pairs)}")
    print("hashes, bits:", "; ".join(hashes))


def pairs(files):
    for source, tracks in read(files):
        known = [(name, name.partition(":")[0]) for name in tracks if ":" in name] + PAIRS
        known += [("sharp", name) for name in tracks if name.startswith("pace_")]
        for a, b in known:
            steps = [(step, unlike(tracks[a], tracks[b], step), round(min(size(tracks[a], step), size(tracks[b], step))))
                     for step in (4, 8, 12)]
            print(source["source"], a, b, *(f"{step}: {read} of {change}" for step, read, change in steps), sep="\t")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure" | "honest" as what, binary, *sources] if sources:
            measure(binary, sources, what == "measure")
        case ["table", *files] if files:
            table(files)
        case ["pairs", *files] if files:
            pairs(files)
        case _:
            sys.exit(__doc__)
