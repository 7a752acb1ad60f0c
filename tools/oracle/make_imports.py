#!/usr/bin/env python3
"""Tiny random models as andiron-import writes them, with the logits Transformers computes: tests/golden/imports/.

    make_imports.py [TYPE ...]

Needs what tools/import needs. TYPE.gguf is the imported model, F32; TYPE.bin as golden.bin of make_hf_models.py.
"""
import pathlib
import sys
import tempfile

import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

ROOT = pathlib.Path(__file__).parents[2]
sys.path += [str(ROOT / "tools/import"), str(ROOT / "tools/oracle")]

from andiron_import.imported import Imported  # noqa: E402
from make_hf_models import SMALL, TOKENS, fill  # noqa: E402

OUT = ROOT / "tests/golden/imports"
MORE = {"mamba2": {"num_heads": 8, "head_dim": 8, "state_size": 8, "n_groups": 2, "conv_kernel": 4, "expand": 2},
        "mamba": {"state_size": 8, "conv_kernel": 4, "time_step_rank": 4},
        "deepseek_v3": {"head_dim": 4, "num_key_value_heads": 4},
        "bloom": {"n_layer": 2, "n_head": 4, "hidden_size": 32},
        "qwen3_next": {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
                       "linear_value_head_dim": 8, "layer_types": ["linear_attention", "full_attention"],
                       "norm_topk_prob": True},
        "gemma3_text": {"layer_types": ["sliding_attention", "full_attention"]}}
TYPES = ["llama", "gemma3_text", "mixtral", "deepseek_v3", "bloom", "mamba", "mamba2", "qwen3_next", "apertus", "gptj"]


def make(kind):
    cls = CONFIG_MAPPING[kind]
    fields = cls().to_dict()
    small = {k: v for k, v in SMALL.items() if k in fields} | MORE.get(kind, {})
    if kind == "gptj":
        small |= {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "n_positions": 512, "n_inner": 40}
    if kind in ("bloom", "gptj"):
        small = {k: v for k, v in small.items() if k not in ("num_hidden_layers", "num_attention_heads")}
    if "max_position_embeddings" in small:
        small["max_position_embeddings"] = 512
    model = AutoModelForCausalLM.from_config(cls(**small)).float().eval()
    fill(model, False)
    with torch.no_grad():
        logits = model(torch.tensor([TOKENS]), use_cache=False).logits[0].numpy().astype("<f4")
    with tempfile.TemporaryDirectory() as nothing:
        Imported(model).save(OUT / f"{kind}.gguf", "f32", pathlib.Path(nothing) / kind)  # no tokenizer in it
    head = np.array(logits.shape, "<u4").tobytes() + np.array(TOKENS, "<i4").tobytes()
    (OUT / f"{kind}.bin").write_bytes(head + logits.tobytes())
    print(kind, float(np.abs(logits).max()))


def main():
    torch.manual_seed(0)
    OUT.mkdir(parents=True, exist_ok=True)
    for kind in sys.argv[1:] or TYPES:
        make(kind)


if __name__ == "__main__":
    main()
