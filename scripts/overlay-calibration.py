#!/usr/bin/env python3
"""Lays writing over clips, enlarges them, moves the camera, and prints what G9 and G12 read.

    python scripts/overlay-calibration.py BIN FOLDER SOURCE[@SECONDS]...

BIN is the example `gate-calibration` (cargo build -p leoma-film --example gate-calibration); FOLDER gets raw clips, 48 MB
each, one source at a time. Needs ffmpeg, numpy and opencv-python-headless (scripts/flow-accuracy.sh makes a fitting venv).
"""
import json
import os
import subprocess
import sys
import tempfile

import cv2
import numpy as np

W, H, N, FPS = 832, 480, 81, 16
FONT = {"A": [14, 17, 17, 31, 17, 17, 17], "B": [30, 17, 17, 30, 17, 17, 30], "D": [30, 17, 17, 17, 17, 17, 30],
        "E": [31, 16, 16, 30, 16, 16, 31], "G": [14, 17, 16, 23, 17, 17, 14], "H": [17, 17, 17, 31, 17, 17, 17],
        "I": [14, 4, 4, 4, 4, 4, 14], "L": [16, 16, 16, 16, 16, 16, 31], "M": [17, 27, 21, 21, 17, 17, 17],
        "N": [17, 25, 21, 19, 17, 17, 17], "O": [14, 17, 17, 17, 17, 17, 14], "R": [30, 17, 17, 30, 20, 18, 17],
        "S": [15, 16, 16, 14, 1, 1, 30], "T": [31, 4, 4, 4, 4, 4, 4], "W": [17, 17, 17, 21, 21, 27, 17], " ": [0] * 7}
PROMPT = "A RABBIT IS IN THE GREEN MEADOW AND"


def decode(path, start, width=W, height=H):
    size = f"scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height}"
    command = ["ffmpeg", "-v", "error", "-ss", str(start), "-i", path, "-vf", f"fps={FPS},{size}", "-frames:v", str(N),
               "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    raw = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height * 3 // 2, width)


def encode(frames, crf):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "x.mp4")
        command = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{W}x{H}", "-r", str(FPS),
                   "-i", "-", "-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), out]
        subprocess.run(command, input=np.ascontiguousarray(frames).tobytes(), check=True)
        return decode(out, 0)


def written(frames, text, dot, left, top, strength, outline=True):
    """Text in letters of 5x7 dots, white with a dark outline, as strong as strength(t)."""
    ink = np.zeros((H, W), bool)
    for place, letter in enumerate(text):
        for row, bits in enumerate(FONT.get(letter, FONT["O"])):
            for column in range(5):
                x, y = left + (6 * place + column) * dot, top + row * dot
                if bits >> (4 - column) & 1 and x + dot <= W:
                    ink[y:y + dot, x:x + dot] = True
    edge = max(1, dot // 2)
    around = np.zeros_like(ink)
    for dx, dy in ((-edge, 0), (edge, 0), (0, -edge), (0, edge)):
        around |= np.roll(ink, (dy, dx), (0, 1))
    around &= ~ink & outline
    out = frames.copy()
    for t in range(len(out)):
        share = strength(t)
        for mask, level in ((ink, 235), (around, 16)):
            luma = out[t, :H]
            luma[mask] = np.rint(luma[mask] * (1 - share) + level * share)
            for chroma in out[t, H:].reshape(2, H // 2, W // 2):
                small = mask[::2, ::2]
                chroma[small] = np.rint(chroma[small] * (1 - share) + 128 * share)
    return out


def hopping(frames):
    parts = [written(frames[i:i + 6], "GOOD ONE", 5, 60 + i * 37 % 500, 40 + i * 53 % 380, lambda t: 1)
             for i in range(0, N, 6)]
    return np.concatenate(parts)


OVERLAYS = {
    "word of 21": lambda f: written(f, "LEOMA", 3, 300, 336, lambda t: min(t, 8) / 8),
    "word of 35": lambda f: written(f, "LEOMA", 5, 250, 336, lambda t: min(t, 8) / 8),
    "word of 63": lambda f: written(f, "LEOMA", 9, 200, 336, lambda t: min(t, 8) / 8),
    "prompt from 20": lambda f: written(f, PROMPT, 3, 40, 430, lambda t: t >= 20),
    "prompt from 60": lambda f: written(f, PROMPT, 3, 40, 430, lambda t: t >= 60),
    "middle from 20": lambda f: written(f, "A RABBIT IS HERE", 8, 40, 144, lambda t: t >= 20),
    "small from 10": lambda f: written(f, PROMPT, 2, 40, 20, lambda t: t >= 10),
    "mark of half": lambda f: written(f, "LEOMA AI", 5, 580, 30, lambda t: .5 * (t >= 20)),
    "mark of 30 %": lambda f: written(f, "LEOMA AI", 5, 580, 30, lambda t: .3 * (t >= 20)),
    "mark that fades in": lambda f: written(f, "LEOMA AI", 5, 580, 30, lambda t: .5 * min(1, t / 40)),
    "mark without outline": lambda f: written(f, "LEOMA AI", 4, 580, 30, lambda t: t >= 20, False),
    "blink of 8": lambda f: written(f, "LEOMA GOOD", 4, 300, 336, lambda t: t // 8 % 2),
    "blink of 4": lambda f: written(f, "LEOMA GOOD", 4, 300, 336, lambda t: t // 4 % 2),
    "hopping": hopping,
}


def enlarged(frames, width, height, down, up):
    out = frames.copy()
    for t in range(len(out)):
        out[t, :H] = cv2.resize(cv2.resize(frames[t, :H], (width, height), interpolation=down), (W, H), interpolation=up)
    return out


SMALLER = {
    "by 2, linear": (416, 240, cv2.INTER_AREA, cv2.INTER_LINEAR, 20),
    "by 2, cubic": (416, 240, cv2.INTER_CUBIC, cv2.INTER_CUBIC, 20),
    "by 2, Lanczos": (416, 240, cv2.INTER_LANCZOS4, cv2.INTER_LANCZOS4, 20),
    "by 2, CRF 28": (416, 240, cv2.INTER_AREA, cv2.INTER_LANCZOS4, 28),
    "by 1.5": (554, 320, cv2.INTER_AREA, cv2.INTER_LANCZOS4, 20),
    "by 3": (278, 160, cv2.INTER_AREA, cv2.INTER_CUBIC, 20),
}
CAMERAS = {
    "pans and stops": lambda t: (4 * min(t, 40), 2 * min(t, 20)),
    "stops in steps": lambda t: (3 * (t // 20 * 10), 0),
    "drifts by 0.1": lambda t: (.1 * t, .05 * t),
    "drifts by 0.3": lambda t: (.3 * t, 0),
    "sways": lambda t: (4 + 3 * np.sin(t / 5), 4 + 2 * np.cos(t / 7)),
}


def cropped(large, path):
    height = large.shape[1] * 2 // 3
    out = np.full((len(large), H * 3 // 2, W), 128, np.uint8)
    for t, frame in enumerate(large):
        x, y = path(t)
        out[t, :H] = cv2.warpAffine(frame[:height], np.float32([[1, 0, -x], [0, 1, -y]]), (W, H), flags=cv2.INTER_CUBIC)
    return out


def main():
    program, folder, *sources = sys.argv[1:]
    at = lambda name: os.path.join(folder, name)
    for source in sources:
        path, _, start = source.partition("@")
        real = decode(path, start or 0)
        real.tofile(at("real.yuv"))
        subprocess.run([program, "transfer", at("real.yuv"), "1.0", "0.0", at("honest.yuv")], check=True)
        honest = np.fromfile(at("honest.yuv"), np.uint8).reshape(-1, H * 3 // 2, W)
        large = decode(path, start or 0, 1184, 666)
        jobs = [("stand-in", lambda: encode(honest, 20))]
        jobs += [(f"CRF {crf}", lambda crf=crf: encode(real, crf)) for crf in (18, 28, 34, 40)]
        jobs += [(name, lambda lay=lay: encode(lay(honest), 26)) for name, lay in OVERLAYS.items()]
        jobs += [(name, lambda how=how: encode(enlarged(real, *how[:4]), how[4])) for name, how in SMALLER.items()]
        jobs += [(name, lambda way=way: encode(cropped(large, way), 23)) for name, way in CAMERAS.items()]
        for name, make in jobs:
            make().tofile(at("clip.yuv"))
            command = [program, "read", at("real.yuv"), at("clip.yuv")]
            told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
            words = [f"{gate} {'fires' if told[gate]['fired'] else '-':5} {told[gate]['numbers']}" for gate in ("G9", "G12")]
            print(f"{os.path.basename(source):24} {name:22}", *words, flush=True)


if __name__ == "__main__":
    main()
