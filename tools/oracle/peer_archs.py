#!/usr/bin/env python3
"""Tiny random models of every architecture of llama.cpp's, and the logits it computes for them.

    peer_archs.py [--out tests/golden/archs] [--keep DIR] [--effects] [NAME ...]

Writes NAME.txt, the spec (peer_gguf.py), and NAME.bin: u32 n_tokens, u32 n_vocab, i32 tokens[n_tokens],
f32 logits[n_tokens][n_vocab]; embeddings instead of logits for encoders. Metadata come from peer_table.py and
peer_variants.py, names and shapes of the tensors from llama.cpp itself. --keep leaves the GGUF files in DIR; --effects
prints the tensors that the logits do not depend on.
"""
import argparse
import pathlib
import re
import tempfile

import gguf
import numpy as np

import peer_gguf
from peer_run import Peer
from peer_table import BASE
from peer_variants import ALL_SEEING, MODELS

ARCHS = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}


def typed(value):
    if isinstance(value, tuple):
        return value
    of = {bool: "bool", int: "u32", float: "f32", str: "str"}
    if isinstance(value, list):
        kind = of[type(value[0])]
        return ("i32" if kind == "u32" else kind) + "[]", value
    return of[type(value)], value


def metadata(name):
    """The kv lines of a model, and what it says of tensors."""
    arch = name.split(".")[0]
    parent = MODELS[arch] if "." in name else {}
    values = {**BASE, **parent, **MODELS[name]}
    kv = [("general.architecture", "str", arch)]
    for key, value in values.items():
        if value is not None and key[0] != "+":
            kv.append((key if key.startswith(("tokenizer", "xielu")) else f"{arch}.{key}", *typed(value)))
    return kv, {key: value for key, value in values.items() if key[0] == "+"}


DENSE_PARTS = ("ffn_gate.weight", "ffn_up.weight", "ffn_down.weight")
EXPERT_PARTS = r"ffn_gate_inp|_exps|_shexp|exp_probs_b"


def without_other_half(found, dense):
    """Files of some architectures have in a layer either experts or none, where llama.cpp would take both."""
    def stays(name):
        layer = re.match(r"blk\.(\d+)\.", name)
        if not layer:
            return True
        return not re.search(EXPERT_PARTS, name) if int(layer[1]) in dense else kind_of(name) not in DENSE_PARTS
    return {n: d for n, d in found.items() if stays(n)}


def kind_of(tensor):
    return re.sub(r"^(blk|enc\.blk|dec\.blk|posnet|convnext)\.\d+\.", "", tensor)


def known_kinds(name):
    """The kinds that gguf's own table has for an architecture; every one of its biases stays open."""
    arch = ARCHS.get(name.split(".")[0])
    if arch not in gguf.MODEL_TENSORS:
        return None
    return {re.sub(r"^.*\{bid\}\.", "", gguf.TENSOR_NAMES[t]) for t in gguf.MODEL_TENSORS[arch]}


def split_experts(found):
    """Gate and up of the experts as files have them: apart."""
    apart = {}
    for name, dims in found.items():
        if name.endswith("ffn_gate_up_exps.weight"):
            for part in ("gate", "up"):
                apart[name.replace("gate_up", part)] = [dims[0], dims[1] // 2, *dims[2:]]
        else:
            apart[name] = dims
    return apart


def fuse(found):
    """Query, key and value as one tensor."""
    fused = {}
    for name, dims in found.items():
        m = re.match(r"(.*)\.attn_([qkv])\.(weight|bias)$", name)
        if not m or f"{m[1]}.attn_q.{m[3]}" not in found:
            fused[name] = dims
        elif m[2] == "q":
            parts = [found[f"{m[1]}.attn_{part}.{m[3]}"] for part in "qkv"]
            fused[f"{m[1]}.attn_qkv.{m[3]}"] = dims[:-1] + [sum(p[-1] for p in parts)]
    return fused


def flat(dims):
    """The last two dimensions as one."""
    return dims[:-2] + [dims[-2] * dims[-1]]


def as_in_files(found, need):
    """What llama.cpp would take of a model that is not from a file, as files have it."""
    asked = need.get("+with", ())
    lack = {f"blk.{layer}.{kind}" for kind, some in need.get("+lack", {}).items() for layer in some}
    found = {n: d for n, d in found.items() if re.sub(r"^(enc|dec)\.", "", n) not in lack
             and (not n.endswith((".scale", ".input_scale")) or kind_of(n) in asked)}
    if not need.get("+gate_up"):
        found = split_experts(found)
    if "+dense" in need:
        found = without_other_half(found, need["+dense"])
    found = {n: flat(d) if kind_of(n) in need.get("+flat", ()) else d for n, d in found.items()}
    return fuse(found) if need.get("+fused") else found


SPREADS = [  # kind, spread, middle; other matrices: 1.7 / sqrt(inputs), 0
    (r"rope_freqs", 0.8, 2), (r"rope_factors_long", 1, 3), (r"rope_factors_short", 0.3, 1.4),
    (r"token_embd\.weight|token_types|position_embd|per_layer_token_embd", 1, 0),
    (r"ssm_a$", 1, -1.5), (r"ssm_dt\.bias", 1, -1.5), (r"ssm_d$", 0.3, 1),
    (r"exp_probs_b", 0.5, 0), (r"attn_sinks", 1, 0),
    (r"time_mix_lerp|channel_mix_lerp", 0.4, 0.5), (r"time_mix_decay\.weight", 1, -1), (r"time_mix_first", 0.5, 0),
    (r"time_mix_w0|time_mix_a0|time_mix_v0", 1, 0), (r"time_mix_(k_k|k_a|r_k)", 0.4, 0.8),
    (r"hc_.*base", 1, 0), (r"hc_.*scale", 0.3, 1), (r"_ape", 0.5, 0),
    (r"bias$", 0.4, 0), (r"norm", 0.3, 1), (r"\.scale$|_scale", 0.3, 1), (r"gate_inp|router", "router", 0),
]


def spread_of(name, dims, need):
    kind = kind_of(name)
    if kind in need.get("+ids", {}):
        return need["+ids"][kind], None
    if kind in need.get("+spread", {}):
        spread = need["+spread"][kind]
        return spread if isinstance(spread, tuple) else (spread, 0)
    plain = float(f"{1.7 / np.sqrt(dims[0]):.3g}")
    for pattern, spread, middle in SPREADS:
        if re.search(pattern, kind):
            return (2 * plain if spread == "router" else spread), middle
    return (plain, 0) if len(dims) > 1 else (0.3, 1)


def may_be_missing(found, peer, write):
    """The kinds without which llama.cpp opens the file, too."""
    missing = []
    for kind in dict.fromkeys(map(kind_of, found)):
        write({n: d for n, d in found.items() if kind_of(n) != kind})
        try:
            peer.load(write.path)
            missing.append(kind)
        except ValueError:
            pass
    return missing


def usual(kind, known):
    """Files of the architecture have such a tensor, if llama.cpp does not insist."""
    if kind in ("exp_probs_b.bias", "ssm_conv1d.bias"):
        return True
    listed = known is None or kind.rsplit(".", 1)[0] in known
    return listed and not kind.endswith(".bias") and not kind.startswith("rope_f")


def choose(name, found, need, peer, write):
    """The tensors of the file: what llama.cpp needs, and of the rest what files of the architecture have."""
    found = as_in_files(found, need)
    known, asked = known_kinds(name), need.get("+with", ())
    free = may_be_missing(found, peer, write)
    keep = [k for k in free if k in asked or (usual(k, known) and k not in need.get("+without", ()))]
    gone = [k for k in free if k not in keep]
    print(f"  {name}: may have {' '.join(keep) or '-'}; not {' '.join(gone) or '-'}", flush=True)
    return {n: d for n, d in found.items() if kind_of(n) not in gone}


def running(need):
    return {"embed": bool(need.get("+embed")), "flash": bool(need.get("+flash")),
            "encoder": peer_gguf.prompt(20)[:5:-1] if need.get("+encoder") else []}


def with_nextn(kv, n):
    if not n:
        return kv
    arch = kv[0][2]
    kv = [(k, t, v + n if k == f"{arch}.block_count" else v) for k, t, v in kv]
    return kv + [(f"{arch}.nextn_predict_layers", "u32", n)]


def make(name, peer, out, keep):
    kv, need = metadata(name)
    scratch = peer.folder / "scratch.gguf"
    peer_gguf.write_gguf(scratch, kv, [])
    found = peer.probe(scratch)
    kv = with_nextn(kv, need.get("+nextn", 0))

    def write(some):
        write.tensors = [(n, *spread_of(n, d, need), d) for n, d in some.items()]
        peer_gguf.write_gguf(write.path, kv, write.tensors)

    write.path = scratch
    write(choose(name, found, need, peer, write))
    how = running(need)
    whole = how["embed"] or name.split(".")[0] in ALL_SEEING
    marks = ["embeddings"] * how["embed"] + ["whole"] * whole + ["flash"] * how["flash"]
    marks += ["encoder " + " ".join(map(str, how["encoder"]))] if how["encoder"] else []
    path = (keep or peer.folder) / f"{name}.gguf"
    peer_gguf.write_gguf(path, kv, write.tensors)
    tokens = peer_gguf.prompt(need.get("+tokens", peer_gguf.N_TOKENS))
    rows = peer.run(path, tokens, **how)
    if not np.isfinite(rows).all():
        raise ValueError("gives numbers that are not finite")
    peer_gguf.write_spec(out / f"{name}.txt", kv, write.tensors, marks)
    peer_gguf.write_golden(out / f"{name}.bin", tokens, rows)
    said = (f"{name}: {len(write.tensors)} tensors, {path.stat().st_size} bytes, to {np.abs(rows).max():.2f}, "
            f"spread {rows.std():.2f}")
    if not whole:
        each = peer.run(path, tokens, each=True, **how)
        said += f", token by token {np.abs(each - rows).max() / np.abs(rows).max():.1e}"
    return said


def effects(name, peer, out):
    """Tensors that the logits hardly depend on: noise of 0.3 of their spread changes next to nothing."""
    need = metadata(name)[1]
    kv, tensors, _ = peer_gguf.read_spec(out / f"{name}.txt")
    tokens, golden = peer_gguf.read_golden(out / f"{name}.bin")
    path, weak = peer.folder / "effect.gguf", []
    for tensor in tensors:
        def change(n, values):
            if n != tensor[0] or tensor[2] is None:
                return values
            return values + peer_gguf.weights(n + "*", 0.3 * tensor[1], 0, values.size)
        peer_gguf.write_gguf(path, kv, tensors, change)
        rows = peer.run(path, tokens, **running(need))
        effect = np.abs(rows - golden).max() / np.abs(golden).max()
        if effect < 3e-3:
            weak.append(f"{tensor[0]} {effect:.0e}")
    return weak


def main():
    parser = argparse.ArgumentParser()
    golden = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/archs"
    parser.add_argument("--out", type=pathlib.Path, default=golden)
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--effects", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        peer = Peer(folder)
        for name in options.names or MODELS:
            try:
                if options.effects:
                    weak = effects(name, peer, options.out)
                    print(f"{name}: {len(weak)} without effect {'; '.join(weak)}", flush=True)
                else:
                    print(make(name, peer, options.out, options.keep), flush=True)
            except (ValueError, FileNotFoundError) as e:
                print(f"{name}: FAILS: {e}", flush=True)
        peer.close()


if __name__ == "__main__":
    main()
