#!/usr/bin/env python3
"""Hugging Face folders with one lie each, and what `andiron` says of them.

    mutate_folders.py ANDIRON N [FOLDER ...] [--seed S] [--seeds DIR] [--convert]

Each mutant is a copy of a golden folder (or FOLDER) in which one value of a .json file or of the safetensors header was
exchanged, left out or doubled, a tensor's numbers became NaN, or a file was cut, emptied or is another kind of file.
`andiron logits` runs on it within 5 s and 1 GiB; whatever dies, takes longer or says more than a sentence is named and
fails. At the end: each sentence once, without its names and numbers, for reading. --seeds: write the mutants there as
inputs of tests/fuzz/fuzz_folder.c instead, which runs them in one process under sanitizers. --convert: without their
tokenizers, by `andiron convert`, and what it writes then runs.
"""

import argparse
import collections
import json
import pathlib
import random
import re
import resource
import shutil
import subprocess
import tempfile
import time

GOLDEN = pathlib.Path(__file__).parents[2] / "tests/golden/hf_models"
BASES = [
    "llama",
    "mixtral",
    "gemma3_text",
    "deepseek_v3-yarn",
    "qwen3_next",
    "t5",
    "deepseek_v4",
    "glm5_next",
    "qwen4_exp_text-ple",
    "phi3-long",
    "gemma4_text",
    "mamba2",
    "bert",
    "gpt_oss",
    "nemotron_h",
]
RAW = "\0raw:"  # a text that stands in the file as it is
VALUES = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    3,
    7,
    64,
    4096,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32,
    2**53,
    2**63 - 1,
    -(2**63),
    1e-300,
    1e300,
    -1e300,
    0.5,
    "",
    "x",
    "llama",
    "default",
    "yarn",
    "sliding_attention",
    "é" * 300,
    [],
    {},
    [0],
    [1, 2, 3],
    [None],
    ["x"],
    [[1]],
    {"a": 1},
    list(range(5000)),
    ["full_attention"] * 5000,
    RAW + "NaN",
    RAW + "Infinity",
    RAW + "-Infinity",
    RAW + "1e999",
    RAW + "123456789012345678901234567890",
    RAW + "[" * 3000 + "]" * 3000,
    RAW + "0x10",
    RAW + "1.5e",
    RAW + '"\\ud800"',
    RAW + '"\\u0000"',
    RAW + "+1",
    "I64",
    "F8_E4M3",
    "U8",
    "BF16",
    "F16",
]
BOUND_BYTES, SECONDS = 1 << 30, 5


def dump(value):
    """JSON, with raw texts as they are."""
    text = json.dumps(value)
    return re.sub(r'"\\u0000raw:((?:[^"\\]|\\.)*)"', lambda m: json.loads(f'"{m[1]}"'), text)


def paths_of(value, at=()):
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items)[:400]:
        yield from paths_of(inner, at + (key,))


def change(rng, tree):
    """One change; what it was, and the text."""
    paths = [p for p in paths_of(tree) if p]
    if not paths:
        return "value of all", dump(rng.choice(VALUES))
    path = rng.choice(paths)
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    key, old = path[-1], holder[path[-1]]
    way = rng.randrange(12)
    if way == 0:
        del holder[key]
        return f"{path} gone", dump(tree)
    if way == 1 and isinstance(key, str):
        holder[key] = rng.choice(VALUES)
        doubled = f"{json.dumps(key)}: {dump(old)}, {json.dumps(key)}:"
        return f"{path} twice", dump(tree).replace(f"{json.dumps(key)}:", doubled, 1)
    if way == 2 and isinstance(key, str):
        holder[rng.choice([key + "x", "", "a" * 400, "model.layers.99999.x", key.upper()])] = holder.pop(key)
        return f"{path} renamed", dump(tree)
    if way in (3, 4, 5) and isinstance(old, (int, float)) and not isinstance(old, bool):
        holder[key] = rng.choice(
            [old + 1, old - 1, old * 2, old // 2, -old, old * 1000, old * 10**6, float(old), old + 0.5, str(old)]
        )
    else:
        holder[key] = rng.choice(VALUES)
    return f"{path} = {str(holder[key])[:60]!r} for {str(old)[:40]!r}", dump(tree)


def header_of(data):
    n = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + n]), data[8 + n :]


def with_header(text, numbers):
    text = text.encode("utf-8", "replace")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + numbers


def mangle_file(rng, data):
    way = rng.randrange(8)
    n = rng.randrange(len(data) + 1)
    return [
        lambda: ("cut", data[:n]),
        lambda: ("empty", b""),
        lambda: ("zeros", bytes(len(data))),
        lambda: ("more", data + bytes(1000)),
        lambda: ("length", (2 ** rng.randrange(64)).to_bytes(8, "little") + data[8:]),
        lambda: ("text", b"hello"),
        lambda: ("byte", data[:n] + bytes([rng.randrange(256)]) + data[n + 1 :]),
        lambda: ("random", rng.randbytes(1000)),
    ][way]()


def mutate_weights(rng, data):
    way = rng.randrange(6)
    header, numbers = header_of(data)
    if way == 0:
        return mangle_file(rng, data)
    if way == 1:
        size = rng.choice([4, 2])
        nan = (b"\0\0\xc0\x7f" if size == 4 else b"\xc0\x7f") * (len(numbers) // size)
        return "NaN", data[: len(data) - len(numbers)] + nan[: len(numbers)]
    if way == 2:
        header.pop("__metadata__", None)
        gone = rng.sample(sorted(header), min(len(header), rng.choice([1, 2, 20])))
        kept, data = {}, b""
        for name in sorted(set(header) - set(gone), key=lambda k: header[k]["data_offsets"]):
            part = numbers[slice(*header[name]["data_offsets"])]
            kept[name] = {**header[name], "data_offsets": [len(data), len(data) + len(part)]}
            data += part
        return f"{len(gone)} gone, such as {gone[0]}", with_header(json.dumps(kept), data)
    if way == 3:
        name = rng.choice([k for k in header if k != "__metadata__"])
        shape = header[name]["shape"]
        header[name]["shape"] = rng.choice(
            [
                shape[::-1],
                shape + [1],
                [1] + shape,
                [x * 2 for x in shape],
                [],
                [0],
                [2**40] * 4,
                [-1],
                [1] * 100,
                shape[:1],
            ]
        )
        return f"{name} as {str(header[name]['shape'])[:60]}", with_header(json.dumps(header), numbers)
    what, text = change(rng, header)
    return what, with_header(text, numbers)


def mutate(rng, folder):
    """One change in a folder's files: what, and {name: bytes or None}."""
    files = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and p.name != "golden.bin"}
    name = rng.choice(
        ["config.json"] * 6
        + ["model.safetensors"] * 5
        + ["tokenizer.json"] * 2
        + ["generation_config.json", "model.safetensors.index.json", "tokenizer_config.json", "chat_template.jinja"]
    )
    if name == "model.safetensors":
        what, files[name] = mutate_weights(rng, files[name])
    elif name == "model.safetensors.index.json":
        header, _ = header_of(files["model.safetensors"])
        index = {"metadata": {}, "weight_map": {k: "model.safetensors" for k in header if k != "__metadata__"}}
        what, text = change(rng, index)
        files[name] = text.encode("utf-8", "replace")
        if rng.randrange(3) == 0:
            files["model-2.safetensors"] = files.pop("model.safetensors")
    elif name == "chat_template.jinja":
        what, files[name] = "", rng.choice(
            [
                b"{% for",
                b"{{ messages[0].x.y }}",
                b"{% for a in range(10**9) %}{% endfor %}",
                b"{{ 'a' * 10**9 }}",
                b"\xff",
                b"{{ 1/0 }}",
                b"{% include 'x' %}",
            ]
        )
    elif name not in files:
        what, text = change(
            rng, {"eos_token_id": 1, "bos_token_id": [1, 2], "chat_template": "x", "add_bos_token": True}
        )
        files[name] = text.encode("utf-8", "replace")
    elif rng.randrange(8) == 0:
        what, files[name] = mangle_file(rng, files[name])
    elif rng.randrange(30) == 0:
        what, files[name] = "gone", None
    else:
        what, text = change(rng, json.loads(files[name]))
        files[name] = text.encode("utf-8", "replace")
    return f"{folder.name}/{name}: {what}", files


def limits():
    resource.setrlimit(
        resource.RLIMIT_AS, (BOUND_BYTES + (1 << 28), BOUND_BYTES + (1 << 28))
    )  # code and threads' stacks
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def write(folder, files):
    for name, data in files.items():
        if data is not None:
            (folder / name).write_bytes(data)


def reads_source(folder):
    config = folder / "config.json"
    return config.exists() and b"T5ForConditionalGeneration" in config.read_bytes()


def command_of(andiron, folder, model):
    command = [andiron, "logits", model, "--tokens", "1,2,3,4,5,6,7", "-c", "32", "-t", "1", "-o", folder / "out"]
    return command + (["--source", "3,4,5"] if reads_source(folder) else [])


def converted(andiron, folder):
    """As run(); of the file that is written, too."""
    (folder / "tokenizer.json").unlink(missing_ok=True)
    wrong, said = run([andiron, "convert", folder, folder / "out.gguf", "--type", "q8_0", "--threads", "1"])
    return (wrong, said) if wrong or said else run(command_of(andiron, folder, folder / "out.gguf"))


def run(command):
    """(what is wrong or "", the sentence)."""
    began = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, preexec_fn=limits)
    except subprocess.TimeoutExpired:
        return "more than a minute", ""
    cpu = time.monotonic() - began
    said = done.stderr.decode("utf-8", "replace").strip()
    wrong = []
    if done.returncode not in (0, 1):
        wrong.append(f"exit {done.returncode}")
    if cpu > SECONDS:
        wrong.append(f"{cpu:.1f} s")
    if done.returncode == 1 and not all(line.startswith("andiron: ") for line in said.split("\n")):
        wrong.append("no sentence")
    return ", ".join(wrong), said if done.returncode else ""


def plain(said, folder):
    said = said.replace(str(folder), "DIR")
    said = re.sub(r'"[^"]*"', '"..."', said)
    return re.sub(r"\d[\d.e+-]*", "N", said)


def write_seed(out, i, name, files):
    data = files.get("model.safetensors")
    text = b"#BASE hf_models/" + name.encode() + b"\n"
    for file in ("config.json", "tokenizer.json", "generation_config.json", "tokenizer_config.json"):
        if files.get(file) is not None and b"\n#" not in files[file]:
            text += b"#FILE " + file.encode() + b"\n" + files[file] + b"\n"
    if data and len(data) > 8:
        text += b"#HEADER\n" + data[8 : 8 + min(int.from_bytes(data[:8], "little"), len(data))]
    (out / f"{i:06}").write_bytes(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("andiron")
    parser.add_argument("n", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=pathlib.Path)
    parser.add_argument("folders", nargs="*", type=pathlib.Path)
    parser.add_argument("--convert", action="store_true")
    args = parser.parse_args()
    folders = args.folders or [GOLDEN / b for b in BASES]
    sentences, n_wrong = collections.Counter(), 0
    examples = {}
    for i in range(args.n):
        rng = random.Random(args.seed * 10**9 + i)
        what, files = mutate(rng, rng.choice(folders))
        if args.seeds:
            args.seeds.mkdir(exist_ok=True)
            write_seed(args.seeds, i, what.split("/")[0], files)
            continue
        folder = pathlib.Path(tempfile.mkdtemp(prefix="andiron_mutant_"))
        write(folder, files)
        if args.convert:
            wrong, said = converted(args.andiron, folder)
        else:
            wrong, said = run(command_of(args.andiron, folder, folder))
        if wrong:
            n_wrong += 1
            print(f"WRONG {i} {what}: {wrong}: {said[:300]}", flush=True)
        key = plain(said, folder)
        sentences[key] += 1
        examples.setdefault(key, f"{i} {what}: {said}")
        shutil.rmtree(folder)
    for key, count in sentences.most_common():
        print(f"{count:5} {examples[key][:600]}")
    print(f"{args.n} mutants, {n_wrong} wrong")
    raise SystemExit(n_wrong > 0)


if __name__ == "__main__":
    main()
