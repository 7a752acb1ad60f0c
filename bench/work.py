"""work.py - what is measured: one row a piece of work, in the order of their importance.

A row's `model` is a file of models/ or a shape and a type for make_model.py. `settings` go to every engine; `targets`
are what issue 4 asks for, by figure: `ratio` to the better peer, `roof` (part of what the machine can do), `most`
(seconds or bytes), `kept` (part of the quiet speed beside busy processes)."""
import dataclasses

SMOLLM2, GEMMA3 = "SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"
PROMPT, GENERATION, FIRST, PEAK = "prompt_tokens_per_s", "generation_tokens_per_s", "first_token_s", "peak_bytes"
MIB = 1 << 20
# 30 layers of 3 heads of 64 numbers, keys and values of 2 bytes
SMOLLM2_CACHE = 2048 * 30 * 3 * 64 * 2 * 2


@dataclasses.dataclass
class Row:
    group: str
    title: str
    model: object
    settings: dict
    figures: tuple = (PROMPT, GENERATION)
    targets: dict = dataclasses.field(default_factory=dict)
    rounds: int = 3
    quick: bool = False
    busy: bool = False
    math: str = ""  # andiron's own option


FIRST_TYPES = ("Q4_0", "Q4_K_M", "Q8_0")
TYPES = ("Q4_1", "Q5_0", "Q5_1", "Q5_K", "Q6_K", "Q3_K", "Q2_K", "IQ4_XS", "IQ4_NL", "F16", "BF16")
OTHER_TYPES = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4",
               "Q1_0", "Q2_0")
GROUPS = {
    "real": "Real models", "big": "1.24 B llama shape", "start": "Start and memory: SmolLM2",
    "together": "Many sequences at once (tokens a second of all together)", "depth": "Generation after a long context",
    "busy": "Beside a busy process on each core (no real-time priority)", "odd": "Odd shapes",
    "types": "1.24 B llama shape, other types: prompt 128, generation 16",
}


def best_way(row, engine):
    """The peer's fastest settings for a row, as tried with each (docs/performance.md). ik_llama.cpp's flash attention
    fails an assertion with several sequences; repacking at load makes its start slower and nothing else faster."""
    if engine == "ik":
        return {"flash": row.settings.get("sequences", 1) == 1, "repack": False}
    return {"flash": row.settings.get("depth", 0) == 0 or row.settings.get("kv", "f16") != "f16", "repack": True}


def big(kind, quick=False, math=""):
    halves = kind in ("F16", "BF16")
    return Row("big", kind + (f", --math {math}" if math else ""), ("1b", kind),
               {"prompt": 512, "generate": 0 if math else 32 if halves else 64}, math=math,
               targets={PROMPT: {"ratio": 1.2 if halves else 1.4}, GENERATION: {"ratio": 1.0, "roof": 0.93}},
               rounds=3 if kind in FIRST_TYPES else 2, quick=quick)


def rows():
    both = {"ratio": 1.3}
    yield Row("real", "SmolLM2-135M Q4_1", SMOLLM2, {"prompt": 512, "generate": 64}, quick=True, rounds=5,
              targets={PROMPT: both, GENERATION: both})
    yield Row("real", "Gemma 3 270M Q4_K_M", GEMMA3, {"prompt": 512, "generate": 64}, quick=True, rounds=5,
              targets={PROMPT: both, GENERATION: both})
    for kind in FIRST_TYPES:
        yield big(kind, kind == "Q4_0")
    yield Row("start", "start to first token", SMOLLM2, {}, (FIRST,), {FIRST: {"most": 0.12}}, 5, quick=True)
    yield Row("start", "peak memory, context 2,048", SMOLLM2, {"prompt": 512, "depth": 1536, "context": 2048}, (PEAK,),
              {PEAK: {"most": 98362432 + SMOLLM2_CACHE + 32 * MIB}}, 1, quick=True)
    together = {GENERATION: {"ratio": 3.5}}
    yield Row("together", "1.24 B Q4_0, 8 sequences", ("1b", "Q4_0"), {"prompt": 64, "generate": 32, "sequences": 8},
              targets=together, quick=True)
    yield Row("together", "SmolLM2, 16 sequences", SMOLLM2, {"prompt": 64, "generate": 64, "sequences": 16},
              targets=together)
    yield Row("busy", "SmolLM2", SMOLLM2, {"prompt": 256, "generate": 32}, busy=True,
              targets={PROMPT: {"kept": 0.45}, GENERATION: {"kept": 0.45}})
    yield Row("busy", "1.24 B Q4_0", ("1b", "Q4_0"), {"prompt": 64, "generate": 12}, busy=True, rounds=2,
              targets={PROMPT: {"kept": 0.45}, GENERATION: {"kept": 0.45}})
    for kv in ("f16", "q8_0"):
        yield Row("depth", f"1.24 B Q4_0, {kv} cache, depth 4,096", ("1b", "Q4_0"),
                  {"generate": 24, "depth": 4096, "kv": kv}, (GENERATION,), {GENERATION: {"ratio": 1.8}}, 2)
    for kind in TYPES:
        yield big(kind)
        if kind in ("F16", "BF16"):
            yield big(kind, math="fast")
    for kv in ("f16", "q8_0"):
        yield Row("depth", f"1.24 B Q4_0, {kv} cache, depth 16,384", ("1b", "Q4_0"),
                  {"generate": 12, "depth": 16384, "kv": kv}, (GENERATION,), {GENERATION: {"ratio": 2.5}}, 1)
    for kind in OTHER_TYPES:
        yield Row("types", kind, ("1b", kind), {"prompt": 128, "generate": 16}, rounds=1,
                  targets={PROMPT: {"ratio": 1.0}, GENERATION: {"ratio": 1.0}})
    odd = (("head size 80, width 1,440", "h80", "Q4_0"), ("head size 80, width 1,440", "h80", "Q8_0"),
           ("head size 256, one key head", "h256", "Q4_K_M"), ("one key head, width 1,600", "mqa", "Q4_1"))
    for title, shape, kind in odd:
        yield Row("odd", f"{title}, {kind}", (shape, kind), {"prompt": 512, "generate": 64}, rounds=2,
                  targets={PROMPT: {"ratio": 1.4}, GENERATION: {"ratio": 1.0}})
