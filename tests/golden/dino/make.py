"""Golden numbers of DINOv2: vectors and resized positions, from transformers on PyTorch.

    pip install torch numpy transformers
    python make.py > golden.json
    python make.py --checkpoint small|full FOLDER    # FOLDER/model.safetensors of the drawn weights, by save_pretrained

No weights of DINOv2 are used: parameters come from an integer formula that src/embed/transformer/parts.rs repeats, so
numbers are all that is committed.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers

sys.path.insert(0, str(Path(__file__).parent.parent))
from parameters import drawn_tensor, unit  # noqa: E402
from pictures import drawn  # noqa: E402

# `image_size` is what the positions were trained on, `side` what is shown.
SHAPES = {
    "small": dict(side=56, image_size=98, hidden_size=64, num_hidden_layers=2, num_attention_heads=2),
    "full": dict(side=224, image_size=518, hidden_size=384, num_hidden_layers=12, num_attention_heads=6),
}

# Names in memory (transformers 5) and in the published file, which `save_pretrained` writes too.
PUBLISHED = {"attention.q_proj.": "attention.attention.query.", "attention.k_proj.": "attention.attention.key.",
             "attention.v_proj.": "attention.attention.value.", "attention.o_proj.": "attention.output.dense."}


def published(key):
    for name, file in PUBLISHED.items():
        key = key.replace(name, file)
    return key


def model_of(name):
    shape = {key: value for key, value in SHAPES[name].items() if key != "side"}
    model = transformers.Dinov2Model(transformers.Dinov2Config(patch_size=14, **shape)).eval()
    state = {key: torch.from_numpy(drawn_tensor(published(key), list(value.shape)))
             for key, value in model.state_dict().items()}
    model.load_state_dict(state)
    return model


def vectors(name):
    model, side = model_of(name), SHAPES[name]["side"]
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    seen = []
    with torch.no_grad():
        for phase in (0, 1):
            image = torch.from_numpy(drawn(side, phase).transpose(2, 0, 1).copy()).float() / 255
            seen.append(model(pixel_values=((image - mean) / deviation)[None]).pooler_output[0].numpy())
    one, other = (vector.astype(np.float64) for vector in seen)
    cosine = float(one @ other / np.sqrt((one @ one) * (other @ other)))
    return {"images": [list(map(float, vector)) for vector in seen], "cosine": cosine}


def positions():
    """Drawn values on grids of other sides, as `interpolate_pos_encoding` resizes them."""
    cases = []
    for width, before, after in [(2, 37, 16), (3, 7, 4), (2, 5, 9)]:
        values = unit("positions", before * before * width).astype(np.float32).reshape(before, before, width)
        grid = torch.from_numpy(values).permute(2, 0, 1)[None]
        resized = torch.nn.functional.interpolate(grid, size=(after, after), mode="bicubic", align_corners=False)
        values = resized[0].permute(1, 2, 0).reshape(-1).numpy()
        cases.append({"width": width, "from": before, "to": after, "values": [round(float(v), 7) for v in values]})
    return cases


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", nargs=2, metavar=("SHAPE", "FOLDER"))
    options = parser.parse_args()
    if options.checkpoint:
        shape, folder = options.checkpoint
        model_of(shape).save_pretrained(folder)
        return
    report = {"made_with": {"torch": torch.__version__, "transformers": transformers.__version__,
                            "numpy": np.__version__},
              "small": vectors("small"), "full": vectors("full"), "positions": positions()}
    json.dump(report, sys.stdout, indent=None, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
