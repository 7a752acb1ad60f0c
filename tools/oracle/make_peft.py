#!/usr/bin/env python3
"""Random LoRA adapters as PEFT saves them for folders of tests/golden/hf_models, and PEFT's logits: tests/golden/peft/.

    make_peft.py

Needs torch, transformers and peft (0.21.2 made what is there). golden.bin: as make_hf_models.py writes it.
"""
import pathlib

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

GOLDEN = pathlib.Path(__file__).parents[2] / "tests/golden"
LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {  # base, what is adapted
    "llama": {"target_modules": LLAMA + ["lm_head", "embed_tokens"]},
    "gemma3_text": {"target_modules": LLAMA + ["embed_tokens"], "use_rslora": True},  # one table for both
    "gpt2": {"target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True},
}
TOKENS = [(i * 37 + i * i // 7 + 11) % 64 for i in range(20)]


def main():
    for name, more in CASES.items():
        base = AutoModelForCausalLM.from_pretrained(GOLDEN / "hf_models" / name, dtype=torch.float32)
        model = get_peft_model(base, LoraConfig(r=4, lora_alpha=6, **more)).eval()
        generator = torch.Generator().manual_seed(3)
        for key, p in sorted(model.named_parameters()):
            if "lora_" in key:
                p.data.copy_(torch.randn(p.shape, generator=generator) * 0.3)
        with torch.no_grad():
            logits = model(torch.tensor([TOKENS])).logits[0].numpy().astype("<f4")
            with model.disable_adapter():
                plain = model(torch.tensor([TOKENS])).logits[0].numpy()
        folder = GOLDEN / "peft" / name
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)
        config = folder / "adapter_config.json"
        config.write_text(config.read_text().replace(str(GOLDEN), "tests/golden"))
        head = np.array(logits.shape, "<u4").tobytes() + np.array(TOKENS, "<i4").tobytes()
        (folder / "golden.bin").write_bytes(head + logits.tobytes())
        print(name, float(np.abs(logits - plain).max() / np.abs(plain).max()))


if __name__ == "__main__":
    main()
