"""The tables of scripts/parity.sh: our readings and other people's of the same pictures."""

import argparse
import datetime
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import scipy
import skimage
from scipy.stats import rankdata, spearmanr
from skimage.metrics import structural_similarity

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/parity.md"
MARK = ("<!-- parity: begin -->", "<!-- parity: end -->")
WIDTH, HEIGHT, FRAMES, FPS = 832, 480, 81, 16
CRFS = [14, 18, 22, 26, 30, 34, 38, 42, 46]
# Clip of the corpus and the second at which its window begins.
WINDOWS = [("sports2d", 1), ("bigbuckbunny", 0), ("cup", 1), ("ocean", 0), ("night", 12), ("bikes", 0)]
BRISQUE = {  # of Debian's opencv-data
    "brisque_model_live.yml": "4c44c7eec9e5139830c0bb0e4a044c9cd351ba5bbc9e3798beca3243e2782ff4",
    "brisque_range_live.yml": "a18427f4f7ad087524bd0d63389649a3899b51ca6d44a4d5f8d8171f1f914a9c",
}
BRISQUE_STEP = 8  # every so many frames one is read
SSIM_FRAMES = [0, 40, 80]
SSIM_CRFS = [18, 30, 42]
LUMA = WIDTH * HEIGHT
FRAME = LUMA * 3 // 2


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(*command, **more):
    return subprocess.run([str(word) for word in command], check=True, **more)


def raw(path, folder, name, *options):
    """A file's planes as raw 4:2:0."""
    out = folder / name
    run("ffmpeg", "-v", "error", "-y", *options, "-i", path, "-frames:v", FRAMES, "-pix_fmt", "yuv420p", "-f", "rawvideo", out)
    return out


RAW = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", f"{WIDTH}x{HEIGHT}", "-framerate", str(FPS)]


def window(source, second, folder):
    fit = f"fps={FPS},scale={WIDTH}:{HEIGHT}:force_original_aspect_ratio=increase,crop={WIDTH}:{HEIGHT}"
    out = folder / "real.yuv"
    run("ffmpeg", "-v", "error", "-y", "-ss", second, "-i", source, "-vf", fit, "-frames:v", FRAMES, "-an", "-pix_fmt", "yuv420p",
        "-f", "rawvideo", out)
    return out


def encoded(real, crf, folder):
    file = folder / f"crf{crf}.mp4"
    run("ffmpeg", "-v", "error", "-y", *RAW, "-i", real, "-c:v", "libx264", "-preset", "medium", "-crf", crf, file)
    return raw(file, folder, f"crf{crf}.yuv")


def vmaf(real, clip, folder):
    """Mean VMAF by the ffmpeg of imageio-ffmpeg, in a process of its own, by its built-in model."""
    log = folder / "vmaf.json"
    run(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *RAW, "-i", clip, *RAW, "-i", real, "-lavfi",
        f"libvmaf=log_fmt=json:log_path={log}:n_threads=2", "-f", "null", "-")
    return json.loads(log.read_text())["pooled_metrics"]["vmaf"]["mean"]


def brisque(clip, models):
    """Mean BRISQUE of every eighth frame; lower is better."""
    planes = np.fromfile(clip, np.uint8).reshape(-1, HEIGHT * 3 // 2, WIDTH)[::BRISQUE_STEP]
    value = lambda planes: cv2.quality.QualityBRISQUE_compute(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420), *models)[0]
    return float(np.mean([value(frame) for frame in planes]))


def brisque_models(folder):
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in BRISQUE]
    if not all(path.is_file() for path in paths):
        with tempfile.TemporaryDirectory() as scratch:
            run("apt-get", "download", "opencv-data", cwd=scratch, stdout=subprocess.DEVNULL)
            run("dpkg-deb", "-x", next(Path(scratch).glob("*.deb")), scratch + "/tree")
            for path in paths:
                path.write_bytes(next(Path(scratch, "tree").rglob(path.name)).read_bytes())
    for path in paths:
        got = hashlib.sha256(path.read_bytes()).hexdigest()
        if got != BRISQUE[path.name]:
            sys.exit(f"sha256 of {path} is {got}, expected {BRISQUE[path.name]}: not used")
    return [str(path) for path in paths]


def ladder(name, second, args, models):
    """Readings of a window at every CRF."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        real = window(args.cache / "corpus" / f"{name}.mp4", second, folder)
        clips = [encoded(real, crf, folder) for crf in CRFS]
        lines = run(args.binaries / "parity", "artifacts", WIDTH, HEIGHT, FRAMES, real, *clips, capture_output=True,
                    text=True).stdout.splitlines()
        ours = [json.loads(line) for line in lines]
        return {"clip": name, "axis": [one["axis"] for one in ours],
                **{term: [one["raw"][term] for one in ours] for term in ("blur", "blockiness", "banding")},
                "vmaf": [vmaf(real, clip, folder) for clip in clips], "brisque": [brisque(clip, models) for clip in clips],
                "ssim": [pair for crf, clip in zip(CRFS, clips) if crf in SSIM_CRFS
                         for pair in ssim_pairs(args.binaries / "parity", real, clip, folder)]}


def ssim_pairs(binary, real, clip, folder):
    """Our SSIM and scikit-image's of some frames' luma."""
    luma = [np.fromfile(path, np.uint8).reshape(-1, FRAME)[SSIM_FRAMES, :LUMA] for path in (real, clip)]
    names = [folder / name for name in ("one.y", "other.y")]
    for planes, name in zip(luma, names):
        planes.tofile(name)
    ours = [float(line) for line in run(binary, "ssim", WIDTH, HEIGHT, *names, capture_output=True, text=True).stdout.split()]
    theirs = [structural_similarity(one.reshape(HEIGHT, WIDTH), other.reshape(HEIGHT, WIDTH), gaussian_weights=True, sigma=1.5,
                                    use_sample_covariance=False, data_range=255) for one, other in zip(*luma)]
    return list(zip(ours, theirs))


def spearman(one, other):
    return float(spearmanr(one, other).statistic)


def within(ladders, one, other):
    """Spearman of ranks taken within each clip, all clips together."""
    ranks = lambda key: np.concatenate([rankdata(ladder[key]) for ladder in ladders])
    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def artifact_tables(ladders):
    peers = {"VMAF": "vmaf", "BRISQUE": "brisque"}
    rows = ["### Artifact axis", "",
            f"x264 `medium` at CRF {', '.join(map(str, CRFS))}; Spearman's rank correlation over the ladder. BRISQUE falls as quality rises, "
            "so its signs are turned.", "",
            "| clip | axis and VMAF | axis and BRISQUE | VMAF and BRISQUE | `blur` and VMAF | `blockiness` and VMAF | ties at 10000 |",
            "|---|---|---|---|---|---|---|"]
    cell = lambda value: f"{value:.3f}"
    signed = lambda ladder, one, other: spearman(ladder[one], ladder[other]) * (-1) ** ((one + other).count("brisque"))
    for ladder in ladders:
        top = sum(axis == 10_000 for axis in ladder["axis"])
        rows.append(f"| {ladder['clip']} | {cell(signed(ladder, 'axis', 'vmaf'))} | {cell(signed(ladder, 'axis', 'brisque'))} | "
                    f"{cell(signed(ladder, 'vmaf', 'brisque'))} | {cell(signed(ladder, 'blur', 'vmaf'))} | "
                    f"{cell(-signed(ladder, 'blockiness', 'vmaf'))} | {top} of {len(CRFS)} |")
    pooled = [within(ladders, "axis", "vmaf"), -within(ladders, "axis", "brisque"), -within(ladders, "vmaf", "brisque"),
              within(ladders, "blur", "vmaf"), -within(ladders, "blockiness", "vmaf")]
    rows.append(f"| **pooled, ranks within each clip** | {' | '.join(map(cell, pooled))} | |")
    flat = {key: [value for ladder in ladders for value in ladder[key]] for key in ("axis", "vmaf", "brisque", "blur", "blockiness")}
    across = [spearman(flat["axis"], flat["vmaf"]), -spearman(flat["axis"], flat["brisque"]), -spearman(flat["vmaf"], flat["brisque"]),
              spearman(flat["blur"], flat["vmaf"]), -spearman(flat["blockiness"], flat["vmaf"])]
    rows += [f"| all values together | {' | '.join(map(cell, across))} | |", "",
             "Axis, VMAF and BRISQUE at every CRF:", "", f"| clip | reading | {' | '.join(map(str, CRFS))} |", "|---|---|" + "---|" * len(CRFS)]
    for ladder in ladders:
        rows.append(f"| {ladder['clip']} | axis | {' | '.join(map(str, ladder['axis']))} |")
        for title, key in peers.items():
            rows.append(f"| | {title} | {' | '.join(f'{value:.1f}' for value in ladder[key])} |")
    return rows


def ssim_table(ladders):
    pairs = np.array([pair for ladder in ladders for pair in ladder["ssim"]])
    error = np.abs(pairs[:, 0] - pairs[:, 1])
    golden = json.loads((ROOT / "tests/golden/ssim/golden.json").read_text())
    return ["### SSIM", "", "| pictures | pairs | largest difference | mean difference |", "|---|---|---|---|",
            f"| luma of frames {', '.join(map(str, SSIM_FRAMES))} of the six windows, CRF {', '.join(map(str, SSIM_CRFS))} against the real one "
            f"(SSIM {pairs[:, 1].min():.3f} to {pairs[:, 1].max():.4f}) | {len(pairs)} | {error.max():.1e} | {error.mean():.1e} |", "",
            f"A test holds {len(golden)} drawn pairs (`tests/golden/ssim`) to 1e-4."]


def flow_table(args):
    spec = importlib.util.spec_from_file_location("flow_accuracy", ROOT / "scripts/flow-accuracy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.REPEATS = 1  # errors only; docs/flow.md has the times
    rows, _, _ = module.errors_and_times(args.binaries / "flow-accuracy", module.pairs_in(args.cache / "flow-accuracy" / "data"))
    return ["### Flow", "", *rows]


def embedding_table(file):
    if not file.is_file():
        return ["### Embeddings", "", "Left out in this run."]
    rows = ["### Embeddings", "", "| what | path | largest error relative to PyTorch |", "|---|---|---|"]
    kinds = {"distance": "perceptual distance (ST-LPIPS), total and by level", "vector": "image embedding (MobileNetV2)",
             "cosine": "cosine of two embeddings"}
    words = {"small": "CLIP towers, small configuration: values and cosines", "full": "CLIP ViT-B/32, whole towers: values and cosines",
             "dino_small": "DINOv2, small configuration: values and cosine", "dino_full": "DINOv2 ViT-S/14, whole network: values and cosine"}
    for line in file.read_text().splitlines():
        found = re.search(r"(\w+) ([\w ]+): largest error relative to PyTorch (\S+)", line)
        one, rest, error = found.groups()
        if one in words:
            rows.append(f"| {words[one]} | {rest} | {error} |")
        else:
            pictures, kind = rest.split()
            rows.append(f"| {kinds[kind]}, {pictures} | {one} | {error} |")
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/parity.md")
    parser.add_argument("--without-embeddings", action="store_true")
    args = parser.parse_args()
    models = brisque_models(args.cache / "brisque")
    ladders = []
    for name, second in WINDOWS:
        if not (args.cache / "corpus" / f"{name}.mp4").is_file():
            say(f"{name} is not in the corpus: left out")
            continue
        ladders.append(ladder(name, second, args, models))
        say(f"{name}: axis and VMAF {spearman(ladders[-1]['axis'], ladders[-1]['vmaf']):.3f}")
    if not ladders:
        sys.exit("no clip of the corpus is there: scripts/fetch-assets.sh")
    vmaf_ffmpeg = run(imageio_ffmpeg.get_ffmpeg_exe(), "-version", capture_output=True, text=True).stdout.split()[2]
    ffmpeg = run("ffmpeg", "-version", capture_output=True, text=True).stdout.split()[2]
    commit = run("git", "-C", ROOT, "rev-parse", "--short", "HEAD", capture_output=True, text=True).stdout.strip()
    made = [f"Made by `scripts/parity.sh --write` on {datetime.date.today()} at `{commit}`: encodes and decodes by ffmpeg {ffmpeg}; VMAF by ffmpeg "
            f"{vmaf_ffmpeg} of imageio-ffmpeg {imageio_ffmpeg.__version__} (libvmaf's built-in default model); BRISQUE by OpenCV {cv2.__version__} with "
            f"the LIVE model of Debian's opencv-data; scikit-image {skimage.__version__}, SciPy {scipy.__version__}, NumPy {np.__version__}."]
    text = "\n".join([*made, "", *artifact_tables(ladders), "", *ssim_table(ladders), "", *flow_table(args), "",
                      *embedding_table(args.cache / "parity-embeddings.txt")])
    if not args.write:
        print(text)
        return
    page = PAGE.read_text()
    before, rest = page.split(MARK[0])
    PAGE.write_text(before + MARK[0] + "\n" + text + "\n" + MARK[1] + rest.split(MARK[1])[1])


if __name__ == "__main__":
    main()
