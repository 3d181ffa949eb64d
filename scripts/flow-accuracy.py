"""The table of scripts/flow-accuracy.sh: our flow and OpenCV's on pairs whose motion is known."""

import argparse
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent
WHEEL = ("scikit-image==0.16.2", "41e28db0136f29ecd305bef0408fdfc64be9d415e54f5099a95555c65f5c1865")
MOTORCYCLE = ["motorcycle_left.png", "motorcycle_right.png", "motorcycle_disp.npz"]
ALOE = ["aloeL.jpg", "aloeR.jpg", "aloeGT.png"]
REPEATS = 60
MARK = ("<!-- flow-accuracy: begin -->", "<!-- flow-accuracy: end -->")


def fetch_motorcycle(folder):
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
                        "--python-version", "3.8", "--platform", "manylinux1_x86_64", "-d", scratch, WHEEL[0]], check=True)
        wheel = next(Path(scratch).iterdir())
        got = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if got != WHEEL[1]:
            sys.exit(f"sha256 of {wheel.name} is {got}, expected {WHEEL[1]}: not used")
        with zipfile.ZipFile(wheel) as archive:
            for name in MOTORCYCLE:
                (folder / name).write_bytes(archive.read("skimage/data/" + name))


def fetch_aloe(folder):
    """From the Debian package that config/assets.lock.json pins; False where there is no apt."""
    spec = importlib.util.spec_from_file_location("fetch_assets", ROOT / "fetch-assets.py")
    assets = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(assets)
    lock = json.loads(assets.LOCK.read_text())
    package = next(p for p in lock["packages"] if p["id"] == "opencv-doc")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            archive = assets.download(package, Path(scratch))
        except assets.Left as reason:
            print(f"Aloe is left out: {reason}", file=sys.stderr)
            return False
        subprocess.run(["dpkg-deb", "-x", str(archive), scratch + "/tree"], check=True)
        for name in ALOE:
            found = next(Path(scratch, "tree").rglob(name), None)
            (folder / name).write_bytes(found.read_bytes())
    return True


def gray(path):
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


def half(image):
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    return cv2.resize(image[:height, :width], (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def half_truth(truth):
    height, width = truth.shape[0] // 2 * 2, truth.shape[1] // 2 * 2
    return truth[:height, :width].reshape(height // 2, 2, width // 2, 2, 2).mean(axis=(1, 3)) / 2


def from_disparity(disparity):
    return np.dstack([-disparity, np.zeros_like(disparity)])


def warped(name, photo, matrix, width=416, height=240, edge=60):
    """A window of a photo and the same after a homography, cubic; truth only where the target is inside."""
    ys, xs = np.mgrid[0:height, 0:width].astype(float)
    def through(m):
        p = np.stack([xs, ys, np.ones_like(xs)], -1) @ m.T
        return p[..., :2] / p[..., 2:]
    to, source = through(matrix), through(np.linalg.inv(matrix)).astype(np.float32) + edge
    first = photo[edge:edge + height, edge:edge + width]
    second = cv2.remap(photo, source[..., 0], source[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    truth = to - np.dstack([xs, ys])
    outside = (to < 0).any(-1) | (to[..., 0] >= width - 1) | (to[..., 1] >= height - 1)
    truth[outside] = np.nan
    return name, first, second, truth


def affine(scale, turn, dx, dy, centre=(208, 120)):
    c, s = np.cos(turn) * scale, np.sin(turn) * scale
    move = lambda x, y: np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])
    return move(dx, dy) @ move(*centre) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ move(-centre[0], -centre[1])


def patches(photo, other, width=416, height=240, edge=60):
    """Five pieces of another photo that move by whole pixels over a ground that moves by (2.5, -1)."""
    ground = photo[edge:edge + height, edge:edge + width]
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32) + edge
    first, second = ground.copy(), cv2.remap(photo, xs - 2.5, ys + 1, cv2.INTER_CUBIC)
    truth = np.empty((height, width, 2))
    truth[:] = (2.5, -1)
    random = np.random.default_rng(3)
    pieces = other[edge:edge + height, edge:edge + width]
    for _ in range(5):
        w, h = random.integers(40, 90, 2)
        x, y = random.integers(20, width - w - 20), random.integers(20, height - h - 20)
        dx, dy = random.integers(-12, 13, 2)
        to_x, to_y = np.clip(x + dx, 0, width - w), np.clip(y + dy, 0, height - h)
        first[y:y + h, x:x + w] = pieces[y:y + h, x:x + w]
        second[to_y:to_y + h, to_x:to_x + w] = pieces[y:y + h, x:x + w]
        truth[y:y + h, x:x + w] = (to_x - x, to_y - y)
    return "patches over a ground", first, second, truth


def cases(folder, aloe):
    left, right = gray(folder / MOTORCYCLE[0]), gray(folder / MOTORCYCLE[1])
    disparity = np.load(folder / MOTORCYCLE[2])["arr_0"].astype(float)
    disparity[~np.isfinite(disparity) | (disparity <= 0)] = np.nan
    truth = from_disparity(disparity)
    yield "Motorcycle", left, right, truth
    yield "Motorcycle, half size", half(left), half(right), half_truth(truth)
    photo = cv2.resize(left, (600, 405), interpolation=cv2.INTER_AREA)
    other = photo
    if aloe:
        al, ar = half(gray(folder / ALOE[0])), half(gray(folder / ALOE[1]))
        disparity = gray(folder / ALOE[2]).astype(float)
        disparity[disparity == 0] = np.nan
        truth = half_truth(from_disparity(disparity))
        yield "Aloe, half size", al, ar, truth
        yield "Aloe, quarter size", half(al), half(ar), half_truth(truth)
        other = al
    yield warped("affine, small", other, affine(1.01, 0.01, 1.3, -0.7))
    yield warped("affine, large", photo, affine(1.05, 0.05, 6.3, -3.7))
    matrix = affine(1.02, -0.02, 3.2, 2.1)
    matrix[2, :2] = 1e-4, -8e-5
    yield warped("homography", photo, matrix)
    if aloe:
        yield patches(other, photo)


def methods():
    for name, preset in [("DIS ultrafast", 0), ("DIS fast", 1), ("DIS medium", 2)]:
        yield name, cv2.DISOpticalFlow_create(preset).calc, (None,)
    yield "Farneback", cv2.calcOpticalFlowFarneback, (None, 0.5, 5, 15, 3, 5, 1.2, 0)


def timed(call, threads):
    cv2.setNumThreads(threads)
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - start)
    return result, best * 1e3


def ours(binary, first, second):
    height, width = first.shape
    with tempfile.TemporaryDirectory() as folder:
        names = [folder + "/" + name for name in ("first", "second", "out")]
        first.tofile(names[0])
        second.tofile(names[1])
        told = subprocess.run([binary, str(width), str(height), *names, str(REPEATS)], check=True, capture_output=True, text=True)
        field = np.fromfile(names[2], "<i2").reshape(height, width, 2) / 32
    return field, [float(value) for value in told.stdout.split()]


def errors(field, truth):
    distance = np.hypot(*(field - truth).transpose(2, 0, 1))
    distance = distance[np.isfinite(distance)]
    return f"{distance.mean():.2f} ({np.median(distance):.2f})"


def errors_and_times(binary, pairs):
    names = ["leoma", *(name for name, _, _ in methods())]
    rows = ["Endpoint error in pixels: mean (median) over all pixels whose motion is known, hidden ones among them.", "",
            f"| pair | zero flow | {' | '.join(names)} |", "|---|" + "---|" * (len(names) + 1)]
    times = []
    for name, first, second, truth in pairs:
        first, second = np.ascontiguousarray(first), np.ascontiguousarray(second)
        field, (alone, together) = ours(binary, first, second)
        cells, spent = [errors(field, truth)], [(alone, together)]
        for _, call, rest in methods():
            run = lambda: call(first, second, *rest)
            found, one = timed(run, 1)
            _, two = timed(run, 2)
            cells.append(errors(found, truth))
            spent.append((one, two))
        height, width = first.shape
        label = f"{name} ({width}x{height})"
        rows.append(f"| {label} | {errors(np.zeros_like(truth), truth)} | {' | '.join(cells)} |")
        times.append(f"| {label} | " + " | ".join(f"{one:.1f}, {two:.1f}" for one, two in spent) + " |")
        print(rows[-1], times[-1], sep="\n", file=sys.stderr)
    return rows, names, times


def table(binary, pairs):
    rows, names, times = errors_and_times(binary, pairs)
    rows += ["", f"Time of one direction in milliseconds, the best of {REPEATS}: one thread, then per pair with two "
             f"threads (leoma: pairs side by side; OpenCV {cv2.__version__}: inside a pair). {os.cpu_count()} processors; "
             f"load average {os.getloadavg()[0]:.1f}: with other work going on, times mean little.", "",
             f"| pair | {' | '.join(names)} |", "|---|" + "---|" * len(names), *times]
    return "\n".join(rows)


def pairs_in(folder):
    """All pairs; what is missing of the photos is fetched into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = lambda names: any(not (folder / name).is_file() for name in names)
    if missing(MOTORCYCLE):
        fetch_motorcycle(folder)
    return cases(folder, not missing(ALOE) or fetch_aloe(folder))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--page", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    args = parser.parse_args()
    text = table(args.binary, pairs_in(args.cache / "data"))
    if not args.write:
        print(text)
        return
    page = args.page.read_text()
    before, rest = page.split(MARK[0])
    args.page.write_text(before + MARK[0] + "\n" + text + "\n" + MARK[1] + rest.split(MARK[1])[1])


if __name__ == "__main__":
    main()
