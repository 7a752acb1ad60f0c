"""Small vocabularies as GGUF files, one for each name of a pre-tokenizer, to compare on lines.

    python tools/oracle/make_vocabularies.py FOLDER [TOKENS] [NAME ...]

Development only. A byte-level BPE vocabulary is trained on the lines of token_lines.py with no regard for words, so
that its merges cross the borders that pre-tokenizers draw: cutting elsewhere gives other ids. One is SentencePiece BPE
with a space in front, like Llama 2's ("spm"), one raw BPE like Gemma 4's, one RWKV's ("rwkv"), one PLaMo-2's
("plamo2").
"""
import pathlib
import re
import sys

import gguf

from token_lines import make_lines

SOURCE = pathlib.Path(__file__).parents[2] / "src/text/tokenizer_patterns.c"
ADDED = {"<|im_start|>": 3, "<|im_end|>": 3, "<|endoftext|>": 3, "<user>": 4, "a  b": 4}
HEAD = {"<unk>": 2, "<s>": 3, "</s>": 3} | {f"<0x{i:02X}>": 6 for i in range(256)}
TAIL = {"<user>": 4, "<|end|>": 3, "<|endoftext|>": 3, "<|user|>": 3, "\n\n\n": 4}


def names():
    return re.findall(r'^    \{"([^"]+)", &', SOURCE.read_text(), re.M)


def corpus(n=6000):
    """No line spells an added token, or has a zero byte: llama.cpp wants each once, and cuts texts at zero bytes."""
    lines = [line.decode("utf-8", "replace") for line in make_lines(77, n)]
    return [x for x in lines if not any(a in x for a in list(ADDED | HEAD | TAIL) + ["\0"])]


def byte_level(lines, n_tokens):
    """Tokens and merges. Training cuts lines anywhere, so that merges cross the borders of words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers, Regex
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"[\s\S]{1,24}"), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=n_tokens, show_progress=False, min_frequency=2,
                                                     initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    import json
    model = json.loads(t.to_str())["model"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    return [token for token, _ in sorted(model["vocab"].items(), key=lambda x: x[1])], merges


def sentence_piece(lines, n_tokens):
    """Tokens and scores: byte tokens, then merges of characters with U+2581 for a space, best first."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers, Regex
    import json
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]{1,24}"), "isolated")
    t.train_from_iterator([x.replace(" ", "\u2581") for x in lines],
                          trainers.BpeTrainer(vocab_size=n_tokens, show_progress=False, min_frequency=2,
                                              limit_alphabet=300))
    model = json.loads(t.to_str())["model"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    return [token for token, _ in sorted(model["vocab"].items(), key=lambda x: x[1])], merges


def write(path, model, pre, tokens, kinds, merges=None, scores=None, **more):
    w = gguf.GGUFWriter(path, "llama")
    w.add_name(more.pop("model_name", f"vocabulary {pre}"))
    w.add_context_length(512), w.add_embedding_length(64), w.add_block_count(1), w.add_feed_forward_length(64)
    w.add_head_count(4), w.add_layer_norm_rms_eps(1e-5)
    w.add_tokenizer_model(model)
    if pre:
        w.add_tokenizer_pre(pre)
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    if merges is not None:
        w.add_token_merges(merges)
    if scores is not None:
        w.add_token_scores(scores)
    for key, value in more.items():
        getattr(w, key)(value)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()


def write_byte_level(folder, name, tokens, merges):
    write(folder / f"{name}.gguf", "gpt2", name, tokens + list(ADDED), [1] * len(tokens) + list(ADDED.values()), merges,
          add_bos_token_id=len(tokens), add_eos_token_id=len(tokens) + 1)


def write_spm(folder, name, tokens, model="llama", pre="default", merges=None, **more):
    kinds = list(HEAD.values()) + [1] * len(tokens) + list(TAIL.values())
    scores = None if merges else [0.0] * len(HEAD) + [-float(i) for i in range(len(tokens))] + [0.0] * len(TAIL)
    write(folder / f"{name}.gguf", model, pre, list(HEAD) + tokens + list(TAIL), kinds, merges, scores,
          add_bos_token_id=1, add_eos_token_id=2, **more)


def byte_of_characters():
    """GPT-2's printable alphabet: a byte that is no printable character of its own follows in order from U+0100 on."""
    own = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    return {chr(b): b for b in own} | {chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in own)}


def write_rwkv(folder, tokens):
    """Texts as Python writes bytes; the bytes themselves come first."""
    of = byte_of_characters()
    texts = [repr(bytes(of[c] for c in token))[2:-1] for token in tokens]
    write(folder / "rwkv.gguf", "rwkv", None, ["<s>"] + texts + ["[PAD]"], [3] + [1] * len(texts) + [5],
          add_bos_token_id=0, add_eos_token_id=0)


def write_plamo(folder, tokens):
    """Scores of single characters are low, of others by rank, so that the fewest tokens are not always the best."""
    texts = [token.replace("\u2581", " ") for token in tokens]
    scores = [-9.0 - i % 7 if len(text) == 1 else -6.0 - i / 100 for i, text in enumerate(texts)]
    write(folder / "plamo2.gguf", "plamo2", None, list(HEAD) + texts + list(TAIL),
          list(HEAD.values()) + [1] * len(texts) + list(TAIL.values()),
          scores=[0.0] * len(HEAD) + scores + [0.0] * len(TAIL), add_bos_token_id=1, add_eos_token_id=2)


def main(arguments):
    folder = pathlib.Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    n_tokens = next((int(a) for a in arguments[1:] if a.isdigit()), 3000)
    wanted = [a for a in arguments[1:] if not a.isdigit()]
    lines = corpus()
    tokens, merges = byte_level(lines, n_tokens)
    characters, raw_merges = sentence_piece(lines, n_tokens)
    raw = {"gemma4", "granite-embed-multi-311m", "sarvam-moe"}
    for name in names():
        if wanted and name not in wanted:
            continue
        if name in raw:
            write_spm(folder, name, characters, "gpt2", name, raw_merges)
        else:
            write_byte_level(folder, name, tokens, merges)
    if not wanted or "spm" in wanted:
        write_spm(folder, "spm", characters, add_add_space_prefix=True)
    if not wanted or "rwkv" in wanted:
        write_rwkv(folder, tokens)
    if not wanted or "plamo2" in wanted:
        write_plamo(folder, characters)
    if not wanted:
        write_spm(folder, "spm_plain", characters, add_add_space_prefix=False)
        write_spm(folder, "spm_phi3", characters, model_name="Phi-3 mini", add_add_space_prefix=True)


if __name__ == "__main__":
    main(sys.argv[1:])
