"""What others do for the same clip: ffmpeg, OpenCV, scikit-image, PyTorch."""

import importlib.util
import resource
import subprocess
import sysconfig
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from skimage.metrics import structural_similarity

ROOT = Path(__file__).resolve().parents[2]
DIS = {"ultrafast": 0, "fast": 1, "medium": 2}
PAIRS = [*((place, place + 1) for place in range(7)), (5, 7), (4, 7), (0, 7)]
GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


class NotMeasured(Exception):
    """A work that this machine cannot do, with the reason."""


def processor_ms():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used) * 1e3


def timed(work):
    processor, start = processor_ms(), time.perf_counter()
    values = work()
    wall = (time.perf_counter() - start) * 1e3
    return {"wall_ms": wall, "processor_ms": processor_ms() - processor, "values": values}


def ffmpeg_planes(path):
    command = ["ffmpeg", "-v", "error", "-threads", "1", "-i", str(path), "-map", "0:v", "-f", "rawvideo",
               "-pix_fmt", "yuv420p", "-"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


class Clip:
    """The clip's planes, and what peers are fed with."""

    def __init__(self, folder, about):
        width, height = about["width"], about["height"]
        read = lambda name: np.fromfile(Path(folder, name), np.uint8).reshape(-1, height * 3 // 2, width)
        self.path = Path(folder, "clip.mp4")
        self.frames, reference, self.given = read("clip.yuv"), read("reference.yuv"), read("first.yuv")[0]
        self.luma = [np.ascontiguousarray(frame[:height]) for frame in self.frames]
        self.source = [np.ascontiguousarray(frame[:height]) for frame in reference]
        # The 2x2 box mean, rounded, as our lane begins.
        self.half = [cv2.resize(y, (width // 2, height // 2), interpolation=cv2.INTER_AREA) for y in self.luma]


class Peers:
    """What others do for the same clip. Frames and pairs side by side, one thread each."""

    def __init__(self, clip, models, cores):
        self.clip, self.models, self.local = clip, models, threading.local()
        self.pool = ThreadPoolExecutor(cores)
        cv2.setNumThreads(1)

    def each(self, threads, work, items):
        return [work(item) for item in items] if threads == 1 else list(self.pool.map(work, items))

    def dis(self, threads, preset, planes, both):
        def one(pair):
            known = self.local.__dict__
            if preset not in known:
                known[preset] = cv2.DISOpticalFlow_create(DIS[preset])
            known[preset].calc(planes[pair[0]], planes[pair[1]], None)
        pairs = [(t, t + 1) for t in range(len(planes) - 1)]
        self.each(threads, one, pairs + [(b, a) for a, b in pairs] if both else pairs)

    def ssim(self, threads, frames, **window):
        one = lambda t: structural_similarity(self.clip.luma[t], self.clip.source[t], data_range=255, **window)
        return self.each(threads, one, frames)

    def run(self, name, threads, frames):
        kind, _, rest = name.partition(" ")
        if kind == "ffmpeg":
            return timed(lambda: len(ffmpeg_planes(self.clip.path)))
        if kind == "DIS":
            preset, _, size = rest.partition(" ")
            planes = self.clip.luma if size == "full" else self.clip.half
            return timed(lambda: self.dis(threads, preset, planes, both=size != "full"))
        if kind == "SSIM":
            window = GAUSSIAN if rest == "Gaussian" else {}
            return timed(lambda: self.ssim(threads, frames, **window))
        if self.models is None:
            raise NotMeasured("no PyTorch")
        return self.models.run(rest, threads, frames)


class Models:
    """Both networks on PyTorch, by their packages' own classes; the given frame's values are remembered, as ours are."""

    def __init__(self, clip):
        spec = importlib.util.spec_from_file_location("golden", ROOT / "tests/golden/embed/make.py")
        golden = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(golden)
        self.torch, self.clip = golden.torch, clip
        self.perceptual, self.embedder, self.utils = golden.load(Path(sysconfig.get_paths()["purelib"]))
        with self.torch.no_grad():
            self.given_features = self.features(clip.given)
            self.given_vector = self.embed([clip.given])[0]

    def features(self, frame):
        rgb = cv2.cvtColor(frame, cv2.COLOR_YUV2RGB_I420)
        height, width = rgb.shape[:2]
        half = cv2.resize(rgb, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        image = self.perceptual.scaling_layer(self.utils.im2tensor(half))
        return [self.utils.normalize_tensor(level) for level in self.perceptual.net(image)]

    def distance(self, frame):
        levels = zip(self.perceptual.lins, self.given_features, self.features(frame))
        return [float(sum(lin((a - b) ** 2).mean() for lin, a, b in levels))]

    def embed(self, frames):
        mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
        images = [cv2.resize(cv2.cvtColor(frame, cv2.COLOR_YUV2RGB_I420), (224, 224)) for frame in frames]
        batch = (np.float32(images) / 255 - mean) / deviation
        return self.embedder(self.torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))).numpy()

    def cosines(self, frames):
        """As quality::embeddings asks: with the given frame from the third on, then between pairs."""
        vectors = self.embed(frames)
        given, units = (each / np.linalg.norm(each, axis=-1, keepdims=True) for each in (self.given_vector, vectors))
        return [float(unit @ given) for unit in units[2:]] + [float(units[a] @ units[b]) for a, b in PAIRS]

    def run(self, name, threads, frames):
        self.torch.set_num_threads(threads)
        picked = [self.clip.frames[t] for t in frames]
        with self.torch.no_grad():
            return timed(lambda: self.distance(picked[0]) if name == "distance" else self.cosines(picked))
