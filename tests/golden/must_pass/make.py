"""Files that ffmpeg, imageio, OpenCV and PyAV write with their own settings from the same frames.

    pip install numpy imageio imageio-ffmpeg av opencv-python-headless
    python make.py LEOMA           # LEOMA: the built program, which draws the scene

Writes the files beside this script, `files.json` (what each is and by which call and version it was made) and the table of
README.md. The scene is the first one that `leoma corpus draw` draws, as tests/score takes it, in 17 frames of 256x144 at 16 a
second; `real.mp4` is those frames, nearly lossless. Writers get 8-bit RGB frames, as a model gives them.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import cv2
import imageio
import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT, FRAMES, FPS = 256, 144, 17, 16
FATES = {"alike": "scores as the frames do", "judged": "is judged, and loses by its quality"}
QUIET = ["-nostdin", "-hide_banner", "-loglevel", "error", "-y"]


def run(*command):
    subprocess.run([str(word) for word in command], check=True)


def scene(leoma, folder):
    """`real.mp4` and its frames `[frames, height, width, RGB]`."""
    run(leoma, "corpus", "draw", "--out", folder, "--scenes", 1, "--size", "320x184", "--seconds", 6)
    source = next(folder.glob("*.mp4"))
    run("ffmpeg", *QUIET, "-i", source, "-vf", f"crop=320:180,scale={WIDTH}:{HEIGHT},fps={FPS}", "-frames:v", FRAMES, "-an",
        "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryslow", "-crf", 8, HERE / "real.mp4")
    raw = subprocess.run(["ffmpeg", *QUIET, "-i", HERE / "real.mp4", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], check=True,
                         stdout=subprocess.PIPE).stdout
    return np.frombuffer(raw, np.uint8).reshape(FRAMES, HEIGHT, WIDTH, 3)


def by_ffmpeg(binary, more):
    def write(path, frames):
        command = [binary, *QUIET[1:], "-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{WIDTH}x{HEIGHT}",
                   "-framerate", str(FPS), "-i", "-", *more.split(), str(path)]
        subprocess.run(command, input=frames.tobytes(), check=True)
    return write


def by_imageio(**options):
    return lambda path, frames: imageio.mimwrite(path, list(frames), **options)


def by_imageio_pyav(codec):
    return lambda path, frames: iio.imwrite(path, frames, plugin="pyav", codec=codec, fps=FPS)


def by_opencv(fourcc):
    def write(path, frames):
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), float(FPS), (WIDTH, HEIGHT))
        if not writer.isOpened():
            raise RuntimeError(f"this build has no encoder for {fourcc}")
        for frame in frames:
            writer.write(frame[..., ::-1])
        writer.release()
    return write


def by_pyav(codec):
    def write(path, frames):
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=FPS)
            stream.width, stream.height = WIDTH, HEIGHT
            for frame in frames:
                for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
    return write


def cases():
    debian, wheel = "ffmpeg", imageio_ffmpeg.get_ffmpeg_exe()
    version = {binary: subprocess.run([binary, "-version"], check=True, capture_output=True, text=True).stdout.split()[2]
               for binary in (debian, wheel)}
    old, new = f"ffmpeg {version[debian]}", f"ffmpeg {version[wheel]}"
    imageio_version = f"imageio {imageio.__version__}, imageio-ffmpeg {imageio_ffmpeg.__version__}"
    opencv, pyav = f"OpenCV {cv2.__version__}", f"PyAV {av.__version__}"
    yuv = "-pix_fmt yuv420p"
    # Name, program, what was called, writer, and what becomes of it: None scores like the others, "judged" is judged, a gate
    # refuses it.
    return [
        ("ffmpeg5.mp4", old, f"rgb24 in, `{yuv}`", by_ffmpeg(debian, yuv), None),
        ("ffmpeg5.mov", old, f"rgb24 in, `{yuv}`", by_ffmpeg(debian, yuv), None),
        ("ffmpeg5.webm", old, f"rgb24 in, `{yuv}` (VP9)", by_ffmpeg(debian, yuv), None),
        ("ffmpeg5-hevc.mp4", old, f"`-c:v libx265 {yuv}`",
         by_ffmpeg(debian, f"-c:v libx265 -x265-params log-level=none {yuv}"), None),
        ("ffmpeg-new.mp4", new, f"rgb24 in, `{yuv}`", by_ffmpeg(wheel, yuv), None),
        ("ffmpeg-new.webm", new, f"rgb24 in, `{yuv}`", by_ffmpeg(wheel, yuv), None),
        ("imageio.mp4", imageio_version, "`mimwrite(path, frames, fps=16)`", by_imageio(fps=FPS), None),
        ("imageio-quality.mp4", imageio_version, "`mimwrite(path, frames, fps=16, quality=9)`",
         by_imageio(fps=FPS, quality=9), None),
        ("imageio-pyav.mp4", f"imageio {imageio.__version__}, {pyav}",
         '`imwrite(path, frames, plugin="pyav", codec="libx264", fps=16)`', by_imageio_pyav("libx264"), None),
        ("opencv-mp4v.mp4", opencv, '`VideoWriter(path, fourcc("mp4v"), 16, size)`', by_opencv("mp4v"), None),
        ("opencv-avc1.mp4", opencv, '`VideoWriter(path, fourcc("avc1"), 16, size)`', by_opencv("avc1"), None),
        ("opencv-vp09.webm", opencv, '`VideoWriter(path, fourcc("VP90"), 16, size)`', by_opencv("VP90"), None),
        ("opencv-av01.mp4", opencv, '`VideoWriter(path, fourcc("av01"), 16, size)`', by_opencv("av01"), None),
        ("pyav.mp4", pyav, '`add_stream("libx264", rate=16)`', by_pyav("libx264"), None),
        ("pyav-mpeg4.mp4", pyav, '`add_stream("mpeg4", rate=16)`: few bits', by_pyav("mpeg4"), "judged"),
        ("pyav-vp9.webm", pyav, '`add_stream("libvpx-vp9", rate=16)`', by_pyav("libvpx-vp9"), None),
        ("pyav-av1.mp4", pyav, '`add_stream("libsvtav1", rate=16)`', by_pyav("libsvtav1"), None),
        # What these write without a word about the format is not what is asked for.
        ("ffmpeg5-444.mp4", old, "rgb24 in, nothing else: 4:4:4", by_ffmpeg(debian, ""), "g11"),
        ("imageio-10fps.mp4", imageio_version, "`mimwrite(path, frames)`: ten frames a second", by_imageio(), "g10"),
        ("opencv-xvid.avi", opencv, '`VideoWriter("x.avi", fourcc("XVID"), 16, size)`: AVI', by_opencv("XVID"), "g13"),
    ]


def main(leoma):
    with tempfile.TemporaryDirectory() as folder:
        frames = scene(leoma, Path(folder))
    files, left_out = [], []
    for name, program, call, write, fate in cases():
        path = HERE / name
        path.unlink(missing_ok=True)
        try:
            write(path, frames)
            size = path.stat().st_size
        except Exception as reason:  # noqa: BLE001 - a build without the encoder, told in the table
            path.unlink(missing_ok=True)
            left_out.append(f"{name} ({program}, {call}): {str(reason).splitlines()[0]}")
            continue
        files.append({"name": name, "program": program, "call": call, "bytes": size, "fate": fate or "alike"})
    (HERE / "files.json").write_text(json.dumps(files, indent=1) + "\n")
    rows = [f"| `{file['name']}` | {file['program']} | {file['call']} | {FATES.get(file['fate'], 'refused by ' + file['fate'].upper())} |" for file in files]
    text = (HERE / "README.md").read_text()
    head = text.split("| file |")[0]
    lines = ["| file | written by | call | what becomes of it |", "|---|---|---|---|", *rows, ""]
    if left_out:
        lines += ["Could not be written where the script ran:", "", *[f"- {line}" for line in left_out], ""]
    (HERE / "README.md").write_text(head + "\n".join(lines))
    print("\n".join(lines), sum(file["bytes"] for file in files), "bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
