"""Make the seeds of tests/fuzz/corpus/folder: what golden folders say of their weights.

    python tests/fuzz/make_folder_seeds.py
"""
import pathlib

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
OUT = pathlib.Path(__file__).parent / "corpus" / "folder"
BASES = ["hf_models/llama", "hf_models/mixtral", "hf_models/gemma3_text", "hf_models/bert", "hf_models/deepseek_v3",
         "hf_models/mamba2", "hf_models/qwen3_next", "hf_models/gpt_oss", "hf_models/phi3-long", "hf_packed/awq",
         "hf_packed/ct_int4", "hf_packed/ct_fp8_block", "hf_models/t5", "hf_models/deepseek_v4", "hf_models/glm5_next",
         "hf_models/qwen4_exp_text-ple"]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for base in BASES:
        folder = GOLDEN / base
        data = (folder / "model.safetensors").read_bytes()
        header = data[8:8 + int.from_bytes(data[:8], "little")].decode().rstrip()
        config = (folder / "config.json").read_text().rstrip()
        text = f"#BASE {base}\n#FILE config.json\n{config}\n#HEADER\n{header}"
        (OUT / base.replace("/", "_")).write_text(text)


if __name__ == "__main__":
    main()
