"""Chute of @MODEL@ for Leoma (Bittensor netuid 99), written by `leoma miner push`.

POST /generate takes a prompt and a first frame and answers one H.264 mp4 of the asked size, length and rate. Change what
your model needs (image, GPU, pipeline, steps); keep the path, the fields and the form of the answer: validators send
exactly these fields and judge exactly that file (docs/miners.md of Leoma's validator).
"""

import asyncio
import base64
import io
import os
import tempfile

from chutes.chute import Chute, NodeSelector
from chutes.image import Image
from fastapi import HTTPException, Response
from pydantic import BaseModel, Field

MODEL = "@MODEL@"
REVISION = "@REVISION@"

image = (
    Image(username="@USERNAME@", name="@NAME@", tag=REVISION[:12], readme=f"{MODEL} at {REVISION}")
    .from_base("parachutes/python:3.12")
    .run_command("pip install torch diffusers transformers accelerate ftfy pillow 'imageio[ffmpeg]'")
)

# `revision` is what validators compare with the commitment.
chute = Chute(
    username="@USERNAME@",
    name="@NAME@",
    readme=f"{MODEL} at {REVISION}",
    image=image,
    revision=REVISION,
    node_selector=NodeSelector(gpu_count=1, min_vram_gb_per_gpu=80),
    concurrency=1,
)


class ClipRequest(BaseModel):
    """What a validator sends. Newer ones read `num_frames` and `seed`, older ones send `frames`, `resolution`, `fast`."""

    prompt: str
    image: str = Field(description="first frame: a PNG file in base64")
    fps: int = Field(16, ge=1, le=30)
    frames: int | None = Field(None, ge=1, le=161)
    num_frames: int | None = Field(None, ge=1, le=161)
    resolution: str = "480p"
    width: int = Field(832, ge=64, le=1920)
    height: int = Field(480, ge=64, le=1920)
    fast: bool = True
    seed: int = Field(0, ge=0)


@chute.on_startup()
async def load(self):
    """Loads the committed revision once; no request is served before."""
    import torch
    from diffusers import DiffusionPipeline

    self.pipeline = DiffusionPipeline.from_pretrained(MODEL, revision=REVISION, torch_dtype=torch.bfloat16).to("cuda")
    self.one_at_a_time = asyncio.Lock()


def make_clip(pipeline, request: ClipRequest, first_frame) -> bytes:
    """The clip as an mp4 file: 8-bit 4:2:0, constant rate, and the given frame as frame 0."""
    import imageio
    import numpy
    import torch

    count = request.num_frames or request.frames or 81
    generated = pipeline(
        image=first_frame,
        prompt=request.prompt,
        width=request.width,
        height=request.height,
        num_frames=count,
        generator=torch.Generator("cuda").manual_seed(request.seed),
        output_type="pil",
    ).frames[0]
    frames = [numpy.asarray(first_frame)] + [numpy.asarray(frame.convert("RGB")) for frame in generated[1:count]]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "clip.mp4")
        imageio.mimwrite(path, frames, fps=request.fps, codec="libx264", quality=9, pixelformat="yuv420p")
        with open(path, "rb") as file:
            return file.read()


@chute.cord(public_api_path="/generate", public_api_method="POST", output_content_type="video/mp4")
async def generate(self, request: ClipRequest) -> Response:
    """Generates one clip at a time."""
    from PIL import Image as Picture

    try:
        first_frame = Picture.open(io.BytesIO(base64.b64decode(request.image))).convert("RGB")
    except Exception as cause:
        raise HTTPException(status_code=400, detail="image is no picture in base64") from cause
    first_frame = first_frame.resize((request.width, request.height))
    async with self.one_at_a_time:
        clip = await asyncio.to_thread(make_clip, self.pipeline, request, first_frame)
    return Response(content=clip, media_type="video/mp4")
