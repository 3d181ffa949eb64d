"""Measured times as the Markdown of docs/benchmarks.md."""

import re
import statistics
from dataclasses import dataclass, field

from peers import ROOT

SSIM_STEP = 4  # every so many frames where SSIM is set beside SSIM

ROWS = [  # what, our works, peers' works, the peer
    ("decode to planes, one thread", ["decode"], ["ffmpeg"], "`ffmpeg -threads 1` to a pipe"),
    ("flow at 416x240, both ways", ["flow"], ["DIS ultrafast"], "DIS ultrafast, the same pairs both ways"),
    ("flow at 416x240, both ways", ["flow"], ["DIS fast"], "DIS fast"),
    ("flow at 416x240, both ways", ["flow"], ["DIS medium"], "DIS medium"),
    (f"SSIM, every {SSIM_STEP}th frame", ["ssim-frames"], ["SSIM Gaussian"], "scikit-image, the same window"),
    ("kernel lane: the verdict", ["verdict"], ["DIS medium full", "SSIM default"],
     "DIS medium at 832x480, one way, and scikit-image SSIM (7x7) of 81 frames"),
    ("distance of the first frame", ["distance"], ["PyTorch distance"], "PyTorch"),
    ("eight embeddings, 16 cosines", ["likeness"], ["PyTorch likeness"], "PyTorch"),
    ("embedding lane: both", ["distance", "likeness"], ["PyTorch distance", "PyTorch likeness"], "PyTorch"),
    ("whole clip: decode, verdict, embeddings", ["whole"],
     ["ffmpeg", "DIS medium full", "SSIM default", "PyTorch distance", "PyTorch likeness"], "all of these"),
]

KERNELS = [  # name of the work, what it is, how often a clip needs it
    ("pyramid", "luma to half, quarter and eighth size", "81 frames"),
    ("difference", "to the next frame", "80 pairs"),
    ("lags", "difference at half size, 2 to 8 frames apart", "532 pairs"),
    ("detail", "Laplacian energy at full and half size", "81 frames"),
    ("sums", "plane sums for flicker", "81 frames"),
    ("blockiness", "every fourth frame", "21 frames"),
    ("border", "bars, every eighth frame", "11 frames"),
    ("looks", "colours, rings, bands and phases, every fourth frame", "21 frames"),
    ("mosaic", "sums of 16x16 blocks", "81 frames"),
    ("octaves", "energies of two octaves, sampled frames", "11 frames"),
    ("strokes", "new standing edges at half size", "81 frames"),
    ("color_distance", "first frames", "1 pair"),
    ("ssim", "first frames", "1 pair"),
    ("motion", "block matching", "80 pairs"),
    ("layers", "three affine layers, fit included", "80 pairs"),
    ("flow", "dense flow at 416x240, pyramids included", "80 pairs, both ways"),
    ("fates", "occlusion", "80 pairs, both ways"),
    ("warp", "to the other frame", "80 pairs, both ways"),
    ("match_blocks", "motion-compensated error, census", "80 pairs"),
    ("flicker_blocks", "second difference along the motion", "79 triples"),
    ("lattice", "flow samples and global affine fit", "80 pairs, both ways"),
]


class Times:
    """Measured times (wall, processor) in milliseconds by work and threads, one entry a round."""

    def __init__(self):
        self.found = {}

    def add(self, name, threads, answer):
        self.found.setdefault((name, threads), []).append((answer["wall_ms"], answer["processor_ms"]))

    def sum(self, names, threads):
        """Rounds of several works together; none where one was not measured."""
        rounds = [self.found.get((name, threads), []) for name in names]
        return [tuple(map(sum, zip(*parts))) for parts in zip(*rounds)]


@dataclass
class Measured:
    """All that a run found."""
    cores: int
    machine: str
    versions: str
    clip: dict  # what `peers prepare` says
    agree: dict  # largest difference of our values from the others', by name
    times: Times = field(default_factory=Times)
    rounds: int = 0
    canonical: tuple = (0, 0)  # embedding values settled by the device, and canonically
    adapter: dict = field(default_factory=lambda: {"name": "no adapter", "software": True})
    buffers: int = 0  # bytes on the adapter
    memory: dict = field(default_factory=dict)  # bytes by process
    sizes: list = field(default_factory=list)  # what rounds of so many clips took

    @property
    def thread_counts(self):
        return sorted({1, self.cores})


def threads_text(threads):
    return f"{threads} thread{'s' if threads > 1 else ''}"


def ms(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def middle(rounds, which=0):
    return statistics.median(entry[which] for entry in rounds)


def cell(rounds):
    return f"{ms(middle(rounds))} ({ms(middle(rounds, 1))})" if rounds else "not measured"


def ratios(mine, theirs, which=0):
    """Ours by theirs in each round."""
    return [a[which] / b[which] for a, b in zip(mine, theirs) if b[which] > 0]


def ratio_cells(mine, theirs):
    wall, processor = ratios(mine, theirs), ratios(mine, theirs, 1)
    if not wall or not processor:
        return " | "
    return f"{statistics.median(wall):.2f} ({min(wall):.2f}..{max(wall):.2f}) | {statistics.median(processor):.2f}"


def peers_table(found, threads):
    lines = [f"With {threads_text(threads)}:", "",
             "| work for 81 frames | leoma | peer | peer's time | leoma / peer | by processor time |",
             "|---|---|---|---|---|---|"]
    for what, mine, theirs, peer in ROWS:
        mine, theirs = found.times.sum(mine, threads), found.times.sum(theirs, threads)
        lines.append(f"| {what} | {cell(mine)} | {peer} | {cell(theirs)} | {ratio_cells(mine, theirs)} |")
    return lines


def kernels_table(found):
    columns = [*found.thread_counts, "device"]
    heads = [f"twin, {threads_text(threads)}" for threads in found.thread_counts] + [found.adapter["name"]]
    lines = [f"| kernel | of | {' | '.join(heads)} |", "|---|---|" + "---|" * len(heads)]
    for name, what, of in KERNELS:
        cells = [cell(found.times.sum([name], column)) for column in columns]
        lines.append(f"| `{name}`: {what} | {of} | {' | '.join(cells)} |")
    return lines


def endpoint_errors():
    """Number of pairs in docs/flow.md's table, and of those where our mean endpoint error is at most DIS fast's."""
    lines = (ROOT / "docs/flow.md").read_text().splitlines()
    names = next(([name.strip() for name in line.split("|")] for line in lines if "| zero flow |" in line), [])
    if "leoma" not in names or "DIS fast" not in names:
        return 0, 0
    rows = [line.split("|") for line in lines if re.search(r"\d\.\d+ \(\d+\.\d+\) \|$", line)]
    mean = lambda row, name: float(row[names.index(name)].split()[0])
    rows = [row for row in rows if len(row) == len(names)]
    return len(rows), sum(mean(row, "leoma") <= mean(row, "DIS fast") for row in rows)


def goal(found, mine, theirs, most, show):
    """Figures by thread count. One thread's processor time decides: nobody spins or waits, and other work disturbs it least."""
    texts, decisive = [], None
    for threads in found.thread_counts:
        rounds = found.times.sum(mine, threads), found.times.sum(theirs, threads)
        wall, processor = (ratios(*rounds, which) for which in (0, 1))
        if not wall or not processor:
            return "not measured | "
        wall, processor = statistics.median(wall), statistics.median(processor)
        decisive = processor if threads == 1 else decisive
        texts.append(f"{show(wall)} with {threads_text(threads)} ({show(processor)} by processor time)")
    return f"{', '.join(texts)} | {verdict(decisive <= most)}"


def verdict(reached):
    return "**met**" if reached else "**missed**"


def goals_table(found):
    pairs, good = endpoint_errors()
    flow = goal(found, ["flow"], ["DIS fast"], 1, lambda ratio: f"{ratio:.2f}")
    kernels = goal(found, ["verdict"], ["DIS medium full", "SSIM default"], 1 / 3, lambda ratio: f"{1 / ratio:.1f}")
    embeddings = goal(found, ["distance", "likeness"], ["PyTorch distance", "PyTorch likeness"], 1.5,
                      lambda ratio: f"{ratio:.2f}")
    device, on = found.times.sum(["verdict"], "device"), found.adapter["name"]
    gpu = "no GPU in this machine | not measured"
    if device and not found.adapter["software"]:
        gpu = f"{ms(middle(device))} ms for a verdict on {on} | {verdict(middle(device) <= 150)}"
    return ["| goal | ratio | |", "|---|---|---|",
            f"| flow on the CPU: at most DIS fast's time | {flow} |",
            f"| at no worse endpoint error | {good} of {pairs} pairs of docs/flow.md | {verdict(good == pairs > 0)} |",
            f"| kernel lane: at least 3 times faster than DIS medium at full resolution and SSIM | {kernels} |",
            f"| embedding lane: at most 1.5 times PyTorch's time | {embeddings} |",
            f"| a clip on a data-centre GPU: at most 150 ms | {gpu} |"]


def memory_table(found):
    rows = [("before any work: the clip's planes, the source's, one frame", "planes"),
            (f"the same and the CPU scorer with {threads_text(found.cores)}", "scorer"),
            (f"the same and the embedding lane with {threads_text(found.cores)}", "embedder"),
            ("decode worker, a child", "decoder")]
    mib = lambda size: f"{size / 2**20:.0f} MiB" if size else "not measured"
    lines = ["| process | peak resident memory |", "|---|---|"]
    lines += [f"| {what} | {mib(found.memory.get(key))} |" for what, key in rows]
    if found.buffers:
        lines.append(f"| device buffers on {found.adapter['name']} | {mib(found.buffers)} |")
    return lines


def sizes_table(found):
    lines = ["| clips | whole round, s | a clip, ms | by processor time, ms | copies (G8), ms a clip | peak resident memory |",
             "|---|---|---|---|---|---|"]
    for size in found.sizes:
        clips = size["clips"]
        lines.append(f"| {clips} | {size['wall_ms'] / 1000:.1f} | {size['wall_ms'] / clips:.0f} | {size['processor_ms'] / clips:.0f} | "
                     f"{size['copies_ms'] / clips:.2f} | {size['peak_bytes'] / 2**20:.0f} MiB |")
    return lines


def page(found):
    """Everything between the marks of docs/benchmarks.md."""
    clip, (by_device, by_canonical) = found.clip, found.canonical
    agree = ", ".join(f"{name} by {value:.5f}" for name, value in found.agree.items()) or "none was compared"
    verdicts = {threads: cell(found.times.sum(["verdict"], threads)) for threads in found.thread_counts}
    twins = ", ".join(f"{time} with {threads_text(threads)}" for threads, time in verdicts.items())
    lines = [f"{found.machine}.", "", f"{found.versions}.", "",
             f"Clip: `{clip['key']}` from {clip['from_ms'] / 1000:.1f} s on, {clip['frames']} frames of {clip['width']}x{clip['height']}, "
             f"x264 CRF {clip['crf']}, {clip['bytes'] / 1e6:.1f} MB; rounds: {found.rounds}. {by_canonical:.0f} of "
             f"{by_device + by_canonical:.0f} embedding values lay near a rounding boundary and were settled canonically, which is in the "
             f"times. Our values differ from the peers' by little: {agree}.", "",
             "### Goals", "", *goals_table(found), "", "### Beside peers", ""]
    for threads in found.thread_counts:
        lines += [*peers_table(found, threads), ""]
    lines += ["### Kernels", "", f"The whole verdict on {found.adapter['name']}, upload included: "
              f"{cell(found.times.sum(['verdict'], 'device'))}; by the twins {twins}.", "", *kernels_table(found), "",
              "### Memory", "", *memory_table(found)]
    if found.sizes:
        networks = "networks included" if all(size["networks"] for size in found.sizes) else "without networks"
        lines += ["", "### Rounds of many clips", "", f"Decoded and judged with {threads_text(found.cores)}, {networks}. The task itself, its "
                  "source and opponents, is measured once and stands in the first clip's time.", "", *sizes_table(found)]
    return "\n".join(lines)
