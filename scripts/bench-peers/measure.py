"""Drives scripts/bench-peers.sh: our lanes and kernels take turns with what others do for the same clip."""

import argparse
import datetime
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import skimage
from peers import Clip, Models, NotMeasured, Peers, ROOT, ffmpeg_planes
from tables import KERNELS, SSIM_STEP, Measured, page

PAGE = ROOT / "docs/benchmarks.md"
MARK = ("<!-- peers: begin -->", "<!-- peers: end -->")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
SECONDS = 200  # after so long no further round of the lanes begins
LEAST_ROUNDS = 2
FEW_ROUNDS = 2  # of the adapter and of single kernels
PAUSE = 0.05  # s, for threads that spin after their work
# Most that our values may lie from the others', whose resizing and colours differ in the last level.
AGREE = {"distance": 0.01, "cosines": 0.01, "SSIM": 1e-3}
STARTED = time.monotonic()

# In turns: our work, then the peers that are set beside it.
TURNS = [
    ("decode", ["ffmpeg"]),
    ("flow", ["DIS ultrafast", "DIS fast", "DIS medium"]),
    ("ssim-frames", ["SSIM Gaussian"]),
    ("verdict", ["DIS medium full", "SSIM default"]),
    ("distance", ["PyTorch distance"]),
    ("likeness", ["PyTorch likeness"]),
    ("whole", []),
]


def say(text):
    print(f"[{time.monotonic() - STARTED:4.0f} s] {text}", file=sys.stderr, flush=True)


class Ours:
    """Our side, in a process of its own with so many threads."""

    def __init__(self, binary, folder, threads):
        # Mesa complains where there is no such folder.
        environment = {"XDG_RUNTIME_DIR": folder, **os.environ, "RAYON_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen([binary, "serve", folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=environment)
        about = json.loads(self.process.stdout.readline() or "{}")
        if about.get("threads") != threads:
            sys.exit(f"{binary} did not start with {threads} threads: {about}")

    def ask(self, name, *frames):
        self.process.stdin.write(" ".join([name, *map(str, frames)]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"our process ended at `{name}`")
        answer = json.loads(line)
        if "error" in answer:
            raise NotMeasured(answer["error"])
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def frames_of(name, turn, count):
    """The frames that a work is given: others every turn, so that nothing is remembered."""
    some = lambda at: [1 + at % 10 + 10 * k for k in range(8)]
    return {"distance": [1 + turn], "likeness": some(2 * turn), "whole": some(2 * turn + 1),
            "verdict": range(count), "ssim-frames": range(0, count, SSIM_STEP)}.get(name, [])


def check(ours, peers, folder):
    """What peers compute too, once, before the rounds: it warms up, and shows that it is the same work."""
    decoded = hashlib.sha256(ffmpeg_planes(peers.clip.path)).digest()
    if decoded != hashlib.sha256(Path(folder, "clip.yuv").read_bytes()).digest():
        sys.exit("ffmpeg decodes the clip to other planes than our worker")
    agree = {}
    for what, name, other in [("distance", "distance", "PyTorch distance"), ("cosines", "likeness", "PyTorch likeness"),
                              ("SSIM", "ssim-frames", "SSIM Gaussian")]:
        frames = frames_of(name, 60, len(peers.clip.luma))
        try:
            mine, theirs = ours.ask(name, *frames)["values"], peers.run(other, 1, frames)["values"]
        except NotMeasured as reason:
            say(f"{what} is not compared: {reason}")
            continue
        agree[what] = max(abs(a - b) for a, b in zip(mine, theirs, strict=True))
        if not agree[what] <= AGREE[what]:
            sys.exit(f"{what}: ours {mine}, theirs {theirs}: not the same work, so times mean nothing")
    return agree


def one_round(times, threads, ours, peers, turn):
    for name, others in TURNS:
        frames = frames_of(name, turn, len(peers.clip.luma))
        for label in [name, *others]:
            try:
                answer = ours.ask(name, *frames) if label == name else peers.run(label, threads, frames)
                times.add(label, threads, answer)
            except NotMeasured:
                pass  # said by `check`; the table has an empty place
            time.sleep(PAUSE)


def measure_rounds(found, servers, peers, rounds):
    began = time.monotonic()
    while found.rounds < rounds and (found.rounds < LEAST_ROUNDS or time.monotonic() - began < SECONDS):
        for threads, server in servers.items():
            one_round(found.times, threads, server, peers, found.rounds)
        found.rounds += 1
        say(f"round {found.rounds} of {rounds}")


def measure_device(found, server, rounds):
    """The verdict on the best adapter, which must be the twins'; the first run opens and warms it."""
    overall = server.ask("verdict")["values"][0]
    try:
        found.adapter = server.ask("adapter")
        for turn in range(1 + rounds):
            answer = server.ask("device-verdict")
            score, found.buffers = answer["values"]
            if score != overall:
                sys.exit(f"verdicts differ: {overall} by the twins, {score} by {found.adapter['name']}")
            if turn > 0:
                found.times.add("verdict", "device", answer)
    except NotMeasured as reason:
        say(f"no adapter is measured: {reason}")
    say(f"verdict on {found.adapter['name']}")


def measure_kernels(found, servers, rounds):
    places = [(threads, server, "") for threads, server in servers.items()]
    places.append(("device", servers[CORES], "device-"))
    # One small kernel first: what all of them read is made then.
    for turn, name in [(None, "ssim"), *((turn, name) for turn in range(rounds) for name, _, _ in KERNELS)]:
        for place, server, prefix in places:
            try:
                answer = server.ask(prefix + name)
            except NotMeasured:
                continue  # `measure_device` has said why
            if turn is not None:
                found.times.add(name, place, answer)
    say("kernels")


def measure_memory(binary, folder):
    """Peak memory in bytes of processes that do nothing else."""
    found = {}
    lanes = {"scorer": ["verdict", "verdict"],
             "embedder": ["distance 1", "likeness 1 2 3 4 5 6 7 8", "distance 2", "likeness 9 10 11 12 13 14 15 16"]}
    for lane, works in lanes.items():
        server = Ours(binary, folder, CORES)
        found["planes"] = server.ask("memory")["peak_bytes"]
        try:
            for work in works:
                server.ask(work)
            found[lane] = server.ask("memory")["peak_bytes"]
        except NotMeasured as reason:
            say(f"memory of the {lane}: {reason}")
        server.close()
    decoder = subprocess.run([binary, "decoder-memory", folder], check=True, stdout=subprocess.PIPE)
    found["decoder"] = int(decoder.stdout)
    say("memory")
    return found


def measure_sizes(binary, folder, sizes):
    """Rounds of so many clips, each in a process of its own that remembers nothing."""
    environment = {**os.environ, "RAYON_NUM_THREADS": str(CORES)}
    found = []
    for clips in sizes:
        command = [binary, "round", folder, str(clips)]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout
        found.append(json.loads(out))
        say(f"a round of {clips} clips")
    return found


def machine(load):
    cpuinfo = Path("/proc/cpuinfo")
    info = cpuinfo.read_text() if cpuinfo.is_file() else ""
    names = [line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")]
    known = [flag for flag in ("avx2", "avx512f", "amx_tile") if flag in info]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (f"{datetime.date.today()}, {names[0] if names else platform.processor()} ({', '.join(known) or 'no AVX2'}), {CORES} cores, "
            f"{memory:.0f} GiB, {platform.system()} {platform.release()}; load average {load:.2f} at the start, "
            f"{os.getloadavg()[0]:.2f} at the end")


def versions(models):
    def first_line(*command):
        try:
            return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.splitlines()[0]
        except (OSError, IndexError):
            return "unknown"
    ffmpeg = first_line("ffmpeg", "-version").removeprefix("ffmpeg version ").split(" ")[0]
    return (f"leoma {first_line('git', 'describe', '--always', '--dirty')} in the development profile, {first_line('rustc', '--version')}; "
            f"Python {platform.python_version()}, numpy {np.__version__}, OpenCV {cv2.__version__}, scikit-image {skimage.__version__}, "
            f"PyTorch {models.torch.__version__ if models else 'absent'}, ffmpeg {ffmpeg}")


def load_models(clip, options):
    if options.without_torch:
        return None
    try:
        return Models(clip)
    except (ImportError, FileNotFoundError) as reason:
        say(f"PyTorch's rows are left out: {reason}")
        return None


def measure(options, folder):
    load = os.getloadavg()[0]
    if load > 0.3 * CORES:
        say(f"load average {load:.2f}: other work is going on, times will mean little")
    command = [options.binary, "prepare", folder, options.clip, str(options.corpus)]
    about = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    say(f"clip {about['key']} from {about['from_ms']} ms on, {about['bytes']} bytes of H.264")
    clip = Clip(folder, about)
    models = load_models(clip, options)
    peers = Peers(clip, models, CORES)
    servers = {threads: Ours(options.binary, folder, threads) for threads in sorted({1, CORES})}
    for server in servers.values():
        try:
            # The first time, what is remembered or read by many is made: the source's measures, the kernels' inputs.
            server.ask("verdict")
            server.ask("flow")
        except NotMeasured as reason:
            sys.exit(f"no verdict: {reason}")
        agree = check(server, peers, folder)
    found = Measured(CORES, "", versions(models), about, agree)
    say("values agree: " + ", ".join(f"{name} within {value:.5f}" for name, value in agree.items()))
    measure_rounds(found, servers, peers, options.rounds)
    if "distance" in agree:
        found.canonical = servers[CORES].ask("canonical")["values"]
    few = min(FEW_ROUNDS, options.rounds)
    measure_device(found, servers[CORES], few)
    measure_kernels(found, servers, few)
    for server in servers.values():
        server.close()
    found.memory = measure_memory(options.binary, folder)
    found.sizes = measure_sizes(options.binary, folder, options.sizes)
    found.machine = machine(load)
    return page(found)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True, help="our side, benches/peers")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of scripts/fetch-assets.sh")
    parser.add_argument("--clip", default="sports2d.mp4", help="key of the corpus clip; another where it is missing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=[1, 4, 16],
                        help="clips in a round, for what a clip costs among others")
    parser.add_argument("--without-torch", action="store_true", help="leave PyTorch out")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = measure(options, folder)
    if not options.write:
        print(text)
        return
    before, rest = PAGE.read_text().split(MARK[0])
    PAGE.write_text(before + MARK[0] + "\n" + text + "\n" + MARK[1] + rest.split(MARK[1])[1])


if __name__ == "__main__":
    main()
