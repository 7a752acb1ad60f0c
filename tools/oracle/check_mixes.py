"""The types of `andiron convert`'s mixes beside those that llama.cpp's own quantizer gives the same file.

    python tools/oracle/check_mixes.py BUILD FOLDER ...

Development only; needs gguf and llama-cpp-python. Each Hugging Face FOLDER is converted to F32, quantized by llama.cpp,
and converted to the type by us; a tensor whose type differs is told. A type of ours with fewer bits is a failure."""
import pathlib
import subprocess
import sys
import tempfile

import gguf
import llama_cpp

NAMES = {"q2_k": 10, "q3_k_s": 11, "q3_k": 12, "q3_k_l": 13, "q4_k_s": 14, "q4_k": 15, "q5_k_s": 16,
         "q5_k": 17, "q6_k": 18}


def types_of(path):
    return {t.name: t.tensor_type for t in gguf.GGUFReader(path).tensors}


def theirs(whole, out, file_type):
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = file_type
    params.nthread = 1
    if llama_cpp.llama_model_quantize(str(whole).encode(), str(out).encode(), params):
        raise ValueError("llama.cpp does not quantize it")
    return types_of(out)


def bits(t):
    items, size = gguf.GGML_QUANT_SIZES[t]
    return size / items


def check(program, folder, scratch):
    bad = 0
    whole, made = scratch / "whole.gguf", scratch / "made.gguf"
    subprocess.run([program, "convert", folder, whole, "--type", "f32", "--force"], check=True, capture_output=True)
    for name, number in NAMES.items():
        subprocess.run([program, "convert", folder, made, "--type", name, "--force"], check=True, capture_output=True)
        ours, others = types_of(made), theirs(whole, scratch / "theirs.gguf", number)
        differ = [(n, ours[n].name, others[n].name) for n in ours if ours[n] != others[n]]
        bad += sum(bits(ours[n]) < bits(others[n]) for n in ours)
        print(f"{folder.name:24} {name:7} {len(ours)} tensors, {len(differ)} differ {differ[:4]}", flush=True)
    return bad


@llama_cpp.llama_log_callback
def silent(*_):
    pass


def main():
    llama_cpp.llama_log_set(silent, None)
    program = pathlib.Path(sys.argv[1]) / "bin/andiron"
    with tempfile.TemporaryDirectory() as scratch:
        bad = sum(check(program, pathlib.Path(f), pathlib.Path(scratch)) for f in sys.argv[2:])
    sys.exit(f"{bad} tensors have fewer bits than llama.cpp's" if bad else 0)


main()
