"""wide_folder.py - a Hugging Face folder of random weights whose rows are wide enough for blocks of 256."""
import array
import json
import random
import struct

WIDTH, TOKENS, LAYERS, NARROW = 256, 64, 3, 96

CONFIG = {
    "model_type": "llama", "hidden_size": WIDTH, "intermediate_size": NARROW, "num_hidden_layers": LAYERS,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": TOKENS, "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": False,
}


def shapes():
    yield "model.embed_tokens.weight", [TOKENS, WIDTH]
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        for name, rows, columns in (("self_attn.q_proj", WIDTH, WIDTH), ("self_attn.k_proj", WIDTH // 2, WIDTH),
                                    ("self_attn.v_proj", WIDTH // 2, WIDTH), ("self_attn.o_proj", WIDTH, WIDTH),
                                    ("mlp.gate_proj", NARROW, WIDTH), ("mlp.up_proj", NARROW, WIDTH),
                                    ("mlp.down_proj", WIDTH, NARROW)):
            yield f"{layer}{name}.weight", [rows, columns]
        yield f"{layer}input_layernorm.weight", [WIDTH]
        yield f"{layer}post_attention_layernorm.weight", [WIDTH]
    yield "model.norm.weight", [WIDTH]
    yield "lm_head.weight", [TOKENS, WIDTH]


def write(path, seed=1):
    r = random.Random(seed)
    header, data = {}, array.array("f")
    for name, shape in shapes():
        first = 4 * len(data)
        if len(shape) == 1:
            data.extend([1.0] * shape[0])
        else:
            data.extend((r.random() + r.random() - 1) * 0.1 for _ in range(shape[0] * shape[1]))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [first, 4 * len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(CONFIG))
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data.tobytes())
    return path
