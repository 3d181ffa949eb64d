"""Golden numbers of CLIP: tokens, resized pixels, and vectors of the towers, from transformers, open_clip and Pillow.

    pip install torch numpy pillow transformers ftfy regex
    pip download --no-deps open_clip_torch==3.3.0          # the wheel, WHEEL below: its tokenizer and its merges
    python make.py WHEEL > golden.json
    python make.py WHEEL --checkpoint small|full FILE      # a checkpoint of the drawn weights, by torch.save

No weights of CLIP are used: parameters come from an integer formula that src/embed/transformer/parts.rs repeats, so numbers
are all that is committed. Tokens are those of the published vocabulary, which the wheel holds.
"""

import argparse
import gzip
import hashlib
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import PIL
import torch
import transformers
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
from parameters import drawn_tensor  # noqa: E402
from pictures import drawn  # noqa: E402

TEXTS = [
    "a photo of a cat",
    "A man in a red jacket walks slowly towards the camera.",
    "  leading,   double  and trailing\twhitespace \n newlines \r\n ",
    "non\u00a0breaking\u2003em\u3000ideographic space",
    "don't can't we're I've I'm you'll he'd it's",
    "DON'T SHOUT: WE'RE HERE",
    "rock 'n' roll 'tis the season's",
    "1234567890 4k 24fps 3.5mm f/1.8 50% #1",
    "semi-realistic, ultra-detailed; (best quality:1.2) [masterpiece] {x} <lora:a:0.8>",
    "caf\u00e9 na\u00efve fa\u00e7ade \u00fcber Stra\u00dfe \u0130stanbul",
    "cafe\u0301 nai\u0308ve A\u030angstro\u0308m",
    "\u03a3\u0399\u03a3\u03a5\u03a6\u039f\u03a3 \u039f\u0394\u039f\u03a3 final sigma",
    "\u041a\u043e\u0448\u043a\u0430 \u0441\u0438\u0434\u0438\u0442 \u043d\u0430 \u043e\u043a\u043d\u0435",
    "\u4e00\u53ea\u732b\u5750\u5728\u7a97\u53f0\u4e0a",
    "\u732b\u304c\u7a93\u8fba\u306b\u5ea7\u3063\u3066\u3044\u308b \u30ab\u30e1\u30e9",
    "\uace0\uc591\uc774\uac00 \ucc3d\uac00\uc5d0",
    "\u0642\u0637\u0629 \u0639\u0644\u0649 \u0627\u0644\u0646\u0627\u0641\u0630\u0629",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e",
    "\U0001f600\U0001f680 emoji \U0001f468\u200d\U0001f469\u200d\U0001f467 family \U0001f1e9\U0001f1ea flag \u2764\ufe0f heart",
    "zero\u200bwidth\u200djoiner \ufeffbom \u00adsoft",
    "\u201csmart quotes\u201d and \u2018single\u2019 \u2014 dash \u2013 \u2026 ellipsis",
    "don\u2019t with a curly apostrophe",
    "fish &amp; chips &lt;b&gt;bold&lt;/b&gt; &quot;q&quot; &#39;s &eacute;",
    "&amp;amp; twice escaped",
    "\u00c3\u00a9 mojibake \u00e2\u20ac\u2122s",
    "\uff26\uff55\uff4c\uff4c\uff57\uff49\uff44\uff54\uff48 \uff11\uff12\uff13 \u2460 \u2167 \u00bd \u00b2",
    "\ufb01ne \ufb02uid ligatures \u01c4",
    "hello_world snake_case camelCase kebab-case",
    "http://example.com/path?q=1&r=2 user@example.com",
    "...!!!???---___***~~~",
    "$100 \u20ac50 \u00a320 \u00a5900 \u20bf",
    "a" * 60,
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "",
    "   ",
    "\u0000null\u0007bell\u001bescape",
    "line one\nline two\n\nline four",
    "the quick brown fox jumps over the lazy dog " * 12,
    "A wide shot of a busy market street at dusk, with vendors under striped awnings selling oranges, bread and flowers "
    "while cyclists weave between people carrying umbrellas; the camera glides forward slowly at eye level, lanterns "
    "flicker on one after another, rain begins to fall, reflections spread over the cobblestones, a dog shakes itself "
    "dry, and a tram passes in the background, its windows glowing warm orange against the blue evening.",
    "\U0001f600" * 90,
]

SHAPES = {
    "small": dict(image_side=64, patch_side=16, width=(64, 64), heads=(2, 2), layers=(2, 2), vocabulary=512, space=32),
    "full": dict(image_side=224, patch_side=32, width=(768, 512), heads=(12, 8), layers=(12, 12), vocabulary=49408,
                 space=512),
}


# --- drawn weights ---

def model_of(name):
    shape = SHAPES[name]

    def tower(index, **more):
        width = shape["width"][index]
        return dict(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=shape["layers"][index],
                    num_attention_heads=shape["heads"][index], hidden_act="quick_gelu", layer_norm_eps=1e-5,
                    projection_dim=shape["space"], **more)

    config = transformers.CLIPConfig(
        vision_config=tower(0, image_size=shape["image_side"], patch_size=shape["patch_side"]),
        text_config=tower(1, vocab_size=shape["vocabulary"], max_position_embeddings=77,
                          bos_token_id=shape["vocabulary"] - 2, eos_token_id=shape["vocabulary"] - 1),
        projection_dim=shape["space"])
    model = transformers.CLIPModel(config).eval()
    state = model.state_dict()
    for key, value in state.items():
        if value.dtype == torch.float32 and value.dim() > 0:
            state[key] = torch.from_numpy(drawn_tensor(key, list(value.shape)))
    model.load_state_dict(state)
    return model


# --- pictures: `pictures.drawn` and the tests' `pattern` ---

def pattern(width, height):
    x, y = np.meshgrid(np.arange(width, dtype=np.uint32), np.arange(height, dtype=np.uint32))
    channels = [(x * 7 + y * 3) % 256, (x * y) % 256, ((x * np.uint32(2654435761)) ^ (y * np.uint32(40503))) >> 24]
    return np.stack(channels, axis=-1).astype(np.uint8)


def sha(rgb):
    return hashlib.sha256(np.ascontiguousarray(np.asarray(rgb).transpose(2, 0, 1)).tobytes()).hexdigest()


def squared(rgb, side):
    """open_clip's and torchvision's preparation: the shorter side to `side`, bicubic, then the middle."""
    height, width = rgb.shape[:2]
    shorter = min(width, height)
    wide, high = int(side * width / shorter), int(side * height / shorter)
    image = Image.fromarray(rgb).resize((wide, high), Image.Resampling.BICUBIC)
    left, top = (wide - side) // 2, (high - side) // 2
    return image.crop((left, top, left + side, top + side))


def resized():
    cases = []
    for width, height, wide, high in [(832, 480, 388, 224), (97, 131, 224, 302), (224, 224, 112, 112),
                                      (112, 112, 224, 224), (360, 360, 224, 224), (64, 64, 64, 31), (17, 9, 5, 40)]:
        image = Image.fromarray(pattern(width, height)).resize((wide, high), Image.Resampling.BICUBIC)
        cases.append({"from": [width, height], "to": [wide, high], "sha256": sha(image)})
    middles = [{"from": [width, height], "sha256": sha(squared(pattern(width, height), 224))}
               for width, height in [(832, 480), (480, 832), (640, 480), (225, 224), (224, 224)]]
    return {"resized": cases, "squared": middles}


# --- vectors ---

TOKENS = {
    "small": [[510, 3, 77, 401, 12, 511], [510, 511], [510] + [(i * 37) % 500 for i in range(75)] + [511]],
    "full": [[49406, 320, 1125, 539, 320, 2368, 49407], [49406, 49407],
             [49406] + [(i * 3571) % 49000 for i in range(75)] + [49407]],
}


def features(output):
    return output if torch.is_tensor(output) else output.pooler_output


def vectors(name):
    model, shape = model_of(name), SHAPES[name]
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    images, texts = [], []
    with torch.no_grad():
        for phase in (0, 1):
            image = torch.from_numpy(drawn(shape["image_side"], phase).transpose(2, 0, 1).copy()).float() / 255
            images.append(features(model.get_image_features(pixel_values=((image - mean) / deviation)[None]))[0].numpy())
        for tokens in TOKENS[name]:
            texts.append(features(model.get_text_features(input_ids=torch.tensor([tokens])))[0].numpy())

    def cosine(one, other):
        one, other = one.astype(np.float64), other.astype(np.float64)
        return float(one @ other / np.sqrt((one @ one) * (other @ other)))

    return {"tokens": TOKENS[name], "images": [list(map(float, v)) for v in images],
            "texts": [list(map(float, v)) for v in texts],
            "cosines": [[cosine(image, text) for text in texts] for image in images]}


# --- tokens ---

def tokenizers(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.read("open_clip/bpe_simple_vocab_16e6.txt.gz")
        source = archive.read("open_clip/tokenizer.py").decode()
    lines = gzip.decompress(packed).decode().split("\n")[1:49152 - 256 - 2 + 1]
    merges = [tuple(line.split()) for line in lines]
    # open_clip's own class, from its file: the package itself wants torchvision.
    module = {"__name__": "tokenizer", "__file__": "tokenizer.py"}
    import tempfile
    import pathlib
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "bpe_simple_vocab_16e6.txt.gz"
        path.write_bytes(packed)
        module["__file__"] = str(pathlib.Path(folder) / "tokenizer.py")
        exec(compile(source, "tokenizer.py", "exec"), module)
        theirs = module["SimpleTokenizer"](bpe_path=str(path))
    vocabulary = {token: index for token, index in theirs.encoder.items()}
    vocabulary["<|startoftext|>"] = vocabulary.pop("<start_of_text>", vocabulary.get("<|startoftext|>"))
    vocabulary["<|endoftext|>"] = vocabulary.pop("<end_of_text>", vocabulary.get("<|endoftext|>"))
    ours = transformers.CLIPTokenizer(vocab=vocabulary, merges=merges)
    return ours, theirs


def tokens(wheel):
    reference, open_clip = tokenizers(wheel)
    cases = []
    for text in TEXTS:
        ids = reference(text, truncation=True, max_length=77)["input_ids"]
        other = open_clip([text])[0].tolist()
        other = other[:other.index(49407) + 1]
        cases.append({"text": text, "ids": ids, "open_clip_is_equal": ids == other})
    return cases


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("wheel")
    parser.add_argument("--checkpoint", nargs=2, metavar=("SHAPE", "FILE"))
    options = parser.parse_args()
    if options.checkpoint:
        shape, path = options.checkpoint
        state = dict(model_of(shape).state_dict())
        # As the published file: it was saved when the positions' indices were kept too.
        count = SHAPES[shape]["image_side"] // SHAPES[shape]["patch_side"]
        state["text_model.embeddings.position_ids"] = torch.arange(77)[None]
        state["vision_model.embeddings.position_ids"] = torch.arange(count * count + 1)[None]
        torch.save(state, path)
        return
    report = {"made_with": {"torch": torch.__version__, "transformers": transformers.__version__, "open_clip": "3.3.0",
                            "pillow": PIL.__version__, "numpy": np.__version__},
              "texts": tokens(options.wheel), **resized(), "small": vectors("small"), "full": vectors("full")}
    json.dump(report, sys.stdout, indent=None, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
