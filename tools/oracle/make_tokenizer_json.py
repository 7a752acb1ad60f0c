"""Makes tests/golden/hf/: small tokenizer.json files of each kind, lines, and what the `tokenizers` package makes of
them.

    python tools/oracle/make_tokenizer_json.py                    make the golden files
    python tools/oracle/make_tokenizer_json.py --compare PROGRAM [--lines N] [--seed S] [--real] [--only NAME]
        compare PROGRAM (tests/text/hf_tokens_of) with the package; --real: also the vocabularies of models/*.gguf

Development only; needs tokenizers, sentencepiece and (--real) gguf. Little-endian files:

    lines.bin   u32 lines, then for each u32 bytes and the bytes (whole UTF-8)
    NAME.json   a tokenizer
    NAME.bin    for each line four u64 FNV-1a: of the ids with control tokens found; of those with what stands around a
                text; of those with encode_special_tokens (0: it makes control tokens of content); of the first ones
                decoded (0: the package decodes added tokens otherwise)
"""
import argparse
import io
import json
import pathlib
import struct
import subprocess
import tempfile

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from token_lines import CODE, PROSE, TEXTS, make_lines

ROOT = pathlib.Path(__file__).parents[2]
OUT = ROOT / "tests/golden/hf"
SPECIAL, AROUND = 2, 1 # andiron_tokenize_flags
N_LINES = 800
CONTROL = ["<s>", "</s>", "<unk>", "<pad>", "<|im_start|>", "<|im_end|>", "[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]",
           "<mask>"]
OWN = ["<tool>", "word", "  ", "Straße", "é", "<Tool Call>", "▁▁"]

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|"
          r"\s+(?!\S)|\s")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
            r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
CORPUS = PROSE + CODE + [x for v in TEXTS.values() for x in v if isinstance(x, str)]


def specials(names, **flags):
    return [AddedToken(n, special=True, normalized=False, **flags) for n in names]


def byte_level(prefix=False, regex=True):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def bpe(pre, normalizer=None, decoder=None, alphabet=True, size=420, own=True, **model):
    t = Tokenizer(models.BPE(**model))
    t.normalizer = normalizer
    t.pre_tokenizer = pre
    t.decoder = decoder or decoders.ByteLevel()
    more = {"unk_token": model["unk_token"]} if model.get("unk_token") else {}
    first = ["<unk>", "<s>", "</s>"] if more else []
    if model.get("byte_fallback"):
        first += [f"<0x{b:02X}>" for b in range(256)]
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=size + 256 * bool(model.get("byte_fallback")), show_progress=False, special_tokens=first,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [],
        **{k: v for k, v in model.items() if k in ("end_of_word_suffix", "continuing_subword_prefix")},
        **({} if alphabet else {"limit_alphabet": 120})))
    config = json.loads(t.to_str())
    config["added_tokens"] = [x for x in config["added_tokens"] if not x["content"].startswith("<0x")]
    config["model"].update({k: v for k, v in model.items() if k in ("ignore_merges", "byte_fallback", "fuse_unk")})
    t = Tokenizer.from_str(json.dumps(config))
    t.add_special_tokens(specials(["<s>", "</s>", "<|im_start|>", "<|im_end|>"]))
    if own:
        t.add_tokens([AddedToken(x, normalized=i % 2 == 0) for i, x in enumerate(OWN[:3])])
    return t


def template(t, single):
    names = [x for x in single.split() if x != "$A"]
    ids = [(n, t.token_to_id(n)) for n in names]
    t.post_processor = processors.TemplateProcessing(single=single, special_tokens=ids)
    return t


def sequence_post(t, single):
    template(t, single)
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), t.post_processor])
    return t


def spm_decoder(strip=True):
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence(parts + ([decoders.Strip(" ", 1, 0)] if strip else []))


def spm_bpe(pre, normalizer, decoder, **model):
    return bpe(pre, normalizer, decoder, alphabet=False, size=500, own=False, unk_token="<unk>", fuse_unk=True,
               byte_fallback=True, **model)


def roberta():
    t = bpe(byte_level(True))
    t.add_special_tokens([AddedToken("<mask>", special=True, lstrip=True, normalized=False)])
    t.post_processor = processors.RobertaProcessing(("</s>", t.token_to_id("</s>")), ("<s>", t.token_to_id("<s>")))
    return t


def added():
    """Each flag of added tokens."""
    t = bpe(byte_level(), normalizers.Lowercase(), own=False)
    t.add_tokens([AddedToken("word", single_word=True, normalized=True), AddedToken("Straße", lstrip=True,
                                                                                          normalized=True),
                  AddedToken("é", rstrip=True, normalized=False), AddedToken("<Tool Call>", normalized=True),
                  AddedToken("  ", normalized=False), AddedToken("user", single_word=True, lstrip=True, rstrip=True,
                                                                normalized=False)])
    t.add_special_tokens([AddedToken("[MASK]", special=True, normalized=True, lstrip=True, rstrip=True),
                          AddedToken("[SEP]", special=True, normalized=True, single_word=True)])
    return t


def wordpiece(lowercase, post="bert"):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=700, special_tokens=names, show_progress=False,
                                                           limit_alphabet=250))
    if post == "bert":
        sep, cls = (("[" + x + "]", t.token_to_id("[" + x + "]")) for x in ("SEP", "CLS"))
        t.post_processor = processors.BertProcessing(sep, cls)
        return t
    return template(t, "[CLS] $A [SEP]")


def wordlevel(pre, normalizer=None, decoder=None):
    t = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer = normalizer, pre
    if decoder:
        t.decoder = decoder
    t.train_from_iterator(CORPUS, trainers.WordLevelTrainer(vocab_size=500, special_tokens=["[UNK]"],
                                                             show_progress=False))
    return t


def varint(data, at):
    x = shift = 0
    while True:
        x |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return x, at


def field(data, number):
    """The first length-delimited field of that number in a protobuf message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        n = {1: 8, 5: 4}.get(key & 7)
        if n is None:
            n, after = varint(data, at)
            at, n = (after, n) if key & 7 == 2 else (after, 0)
        if key == number << 3 | 2:
            return data[at:at + n]
        at += n
    raise KeyError(number)


def charsmap(rule):
    """SentencePiece's own map of characters for a rule."""
    import sentencepiece as spm
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(PROSE * 20), model_writer=model, vocab_size=400,
                                   normalization_rule_name=rule, hard_vocab_limit=False, minloglevel=2)
    return field(field(model.getvalue(), 3), 2) # normalizer_spec.precompiled_charsmap


def unigram(normalizer, pre, names=("<s>", "<pad>", "</s>", "<unk>"), byte_fallback=False, single="<s> $A </s>"):
    t = Tokenizer(models.Unigram())
    t.normalizer, t.pre_tokenizer = normalizer, pre
    t.decoder = decoders.Metaspace()
    first = list(names) + ([f"<0x{b:02X}>" for b in range(256)] if byte_fallback else [])
    t.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=600 + len(first), special_tokens=first,
                                                          unk_token="<unk>", show_progress=False, shrinking_factor=0.7))
    config = json.loads(t.to_str())
    config["added_tokens"] = [x for x in config["added_tokens"] if not x["content"].startswith("<0x")]
    config["model"]["byte_fallback"] = byte_fallback
    t = Tokenizer.from_str(json.dumps(config))
    t.add_special_tokens([AddedToken("<mask>", special=True, lstrip=True, normalized=False)])
    return template(t, single)


def make_all():
    nmt = normalizers.Precompiled(charsmap("nmt_nfkc"))
    seq, norms = pre_tokenizers.Sequence, normalizers.Sequence
    meta = pre_tokenizers.Metaspace
    yield "gpt2", bpe(byte_level())
    yield "roberta", roberta()
    yield "llama3", sequence_post(bpe(seq([split(LLAMA3), byte_level(regex=False)]), ignore_merges=True), "<s> $A")
    yield "qwen2", bpe(seq([split(QWEN2), byte_level(regex=False)]), normalizers.NFC())
    yield "cl100k", bpe(seq([split(CL100K, "removed", True), byte_level(regex=False)]))
    yield "o200k", bpe(seq([split(O200K), byte_level(regex=False)]))
    yield "deepseek", bpe(seq([split(r"\p{N}{1,3}"), split("[一-龥\u3040-ゟ゠-ヿ]+"), split(DEEPSEEK),
                               byte_level(regex=False)]))
    yield "falcon", bpe(seq([pre_tokenizers.Punctuation("contiguous"), byte_level(), pre_tokenizers.Digits(),
                             split("[0-9][0-9][0-9]")]))
    yield "starcoder", bpe(seq([pre_tokenizers.Digits(True), byte_level()]))
    yield "clip", template(bpe(seq([split(CLIP, "removed", True), byte_level(regex=False)]), norms(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]),
        end_of_word_suffix="</w>", unk_token="<unk>"), "<s> $A </s>")
    yield "bytes_norm", bpe(None, normalizers.ByteLevel(), own=False)
    yield "added", added()
    yield "llama2", template(spm_bpe(None, norms([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
                                     spm_decoder()), "<s> $A")
    yield "gemma", template(spm_bpe(pre_tokenizers.Split(" ", "merged_with_previous"), normalizers.Replace(" ", "▁"),
                                    spm_decoder(False)), "<s> $A")
    yield "mistral", template(spm_bpe(meta(prepend_scheme="first", split=False), None, spm_decoder()), "<s> $A")
    yield "prefix_bpe", bpe(pre_tokenizers.Whitespace(), None, decoders.WordPiece(), alphabet=False,
                            continuing_subword_prefix="##", unk_token="<unk>", own=False)
    yield "uncased", wordpiece(True)
    yield "cased", wordpiece(False, "template")
    yield "xlmr", unigram(nmt, seq([pre_tokenizers.WhitespaceSplit(), meta()]))
    yield "t5", unigram(normalizers.NFKC(), meta(), names=("<pad>", "</s>", "<unk>"), single="$A </s>")
    yield "albert", unigram(norms([normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(),
                                   normalizers.StripAccents(), normalizers.Lowercase()]), meta())
    narrow = norms([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    yield "unigram_bytes", unigram(narrow, meta(prepend_scheme="first"), byte_fallback=True)
    yield "words", wordlevel(pre_tokenizers.Whitespace(), norms([normalizers.NFD(), normalizers.Strip()]))
    yield "words_delimiter", wordlevel(seq([pre_tokenizers.CharDelimiterSplit("e"),
                                             pre_tokenizers.Punctuation("removed")]))
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            yield f"split_{behavior}_{int(invert)}", bpe(seq([split(r"[\w&&x]?\d*".replace("&&x", "")
                  + r"|\bx\b|\h{2,3}+|[^\S\n]", behavior, invert), byte_level(regex=False)]), own=False, size=300)


# ---- answers ----

def fnv(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return h


def answers(t, line):
    """The ids in three ways, and the first ones decoded."""
    t.encode_special_tokens = False
    plain = t.encode(line, add_special_tokens=False).ids
    around = t.encode(line).ids
    back = t.decode(plain, skip_special_tokens=False)
    t.encode_special_tokens = True
    content = t.encode(line, add_special_tokens=False).ids
    known = t.get_added_tokens_decoder()
    if any(i in known and (known[i].normalized or not known[i].content.isascii()) for i in plain):
        back = None # the package gives the normalized text, or reads it as bytes; ours the token's text
    else:
        back = back.encode()
    control = {i for i, x in known.items() if x.special}
    # ours never makes a control token of content, nor "</s>", whatever the file says of it
    if control.intersection(content) or (
            "</s>" in line and t.token_to_id("</s>") in known and t.token_to_id("</s>") not in control):
        content = None
    return plain, around, content, back


def valid_lines(seed, n):
    made = make_lines(seed, n * 3, CONTROL + OWN)
    lines = []
    for line in made:
        try:
            lines.append(line.decode())
        except UnicodeDecodeError:
            continue
    return lines[:n]


def pack(ids):
    return struct.pack(f"<{len(ids)}i", *ids)


def write_golden():
    OUT.mkdir(parents=True, exist_ok=True)
    lines = valid_lines(20240301, N_LINES)
    raw = [x.encode() for x in lines]
    (OUT / "lines.bin").write_bytes(struct.pack("<I", len(raw)) + b"".join(struct.pack("<I", len(x)) + x for x in raw))
    for name, t in make_all():
        (OUT / f"{name}.json").write_text(t.to_str(), encoding="utf-8")
        with open(OUT / f"{name}.bin", "wb") as f:
            for line in lines:
                *ids, back = answers(t, line)
                hashes = [0 if x is None else fnv(pack(x)) for x in ids] + [0 if back is None else fnv(back)]
                f.write(struct.pack("<4Q", *hashes))
        print(f"{name}: {(OUT / f'{name}.json').stat().st_size} bytes")


# ---- comparing ----

def run_ours(program, path, lines):
    asked = b""
    for line in lines:
        data = line.encode()
        for flags in (SPECIAL, SPECIAL | AROUND, 0):
            asked += struct.pack("<II", flags, len(data)) + data
    done = subprocess.run([program, str(path)], input=asked, capture_output=True, check=False)
    if done.returncode:
        print("   ", done.stderr.decode().strip())
    out, at = [], 0
    while at < len(done.stdout):
        n, = struct.unpack_from("<I", done.stdout, at)
        ids = list(struct.unpack_from(f"<{n}i", done.stdout, at + 4))
        at += 4 + 4 * n
        n, = struct.unpack_from("<I", done.stdout, at)
        out.append((ids, done.stdout[at + 4:at + 4 + n]))
        at += 4 + n
    return out


def compare(name, t, program, lines):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "tokenizer.json"
        path.write_text(t.to_str(), encoding="utf-8")
        ours = run_ours(program, path, lines)
    wrong = [0, 0, 0, 0]
    if len(ours) != 3 * len(lines):
        print(f"{name}: {len(ours) // 3} of {len(lines)} lines answered")
        return 1
    for i, line in enumerate(lines):
        plain, around, content, back = answers(t, line)
        got = [ours[3 * i + k][0] for k in range(3)] + [ours[3 * i][1].decode(errors="replace").encode()]
        for k, (want, have) in enumerate(zip((plain, around, content, back), got)):
            if want is not None and want != have:
                wrong[k] += 1
                if sum(wrong) <= 2:
                    print(f"    {name} way {k}: {line!r}\n      wanted {want}\n      got    {have}")
    print(f"{name}: {len(lines)} lines; wrong: {wrong[0]} plain, {wrong[1]} around, {wrong[2]} content, "
          f"{wrong[3]} decoded")
    return sum(wrong)


def real():
    """The vocabularies of the models in models/, as their makers' tokenizer.json have them."""
    import gguf
    for path, name in ((ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2"),
                       (ROOT / "models/gemma-3-270m-q4_k_m.gguf", "gemma3")):
        fields = gguf.GGUFReader(path).fields
        tokens = fields["tokenizer.ggml.tokens"].contents()
        kinds = fields["tokenizer.ggml.token_type"].contents()
        vocab = {x: i for i, x in enumerate(tokens)}
        if name == "smollm2":
            t = Tokenizer(models.BPE(vocab, [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]))
            t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), byte_level()])
            t.decoder = decoders.ByteLevel()
        else: # merges as transformers makes them of a SentencePiece model
            scores = fields["tokenizer.ggml.scores"].contents()
            merges = []
            for x in tokens:
                local = [(x[:i], x[i:]) for i in range(1, len(x)) if x[:i] in vocab and x[i:] in vocab]
                merges += [(scores[vocab[x]], vocab[a], vocab[b], a, b) for a, b in local]
            merges.sort(key=lambda m: (-m[0], m[1], m[2]))
            t = Tokenizer(models.BPE(vocab, [(a, b) for *_, a, b in merges], fuse_unk=True, byte_fallback=True,
                                     unk_token="<unk>"))
            t.normalizer = normalizers.Replace(" ", "▁")
            t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
            t.decoder = spm_decoder(False)
        t.add_special_tokens(specials([x for x, k in zip(tokens, kinds) if k in (2, 3)]))
        t.add_tokens([AddedToken(x, normalized=False) for x, k in zip(tokens, kinds) if k == 4])
        yield name, t


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compare")
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--only")
    options = parser.parse_args()
    if not options.compare:
        return write_golden()
    lines = valid_lines(options.seed, options.lines)
    wrong = 0
    for name, t in make_all():
        if not options.only or options.only == name:
            wrong += compare(name, t, options.compare, lines)
    if options.real:
        for name, t in real():
            wrong += compare(name, t, options.compare, lines)
    print(f"{wrong} wrong")
    return wrong != 0


if __name__ == "__main__":
    raise SystemExit(main())
