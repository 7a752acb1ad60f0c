#!/usr/bin/env python3
"""peer.py llama|ik MODEL SETTINGS: measure a peer on its own low-level interface, as `andiron bench` measures andiron.

Run by the Python of the peer's venv. SETTINGS is a JSON object with the members of DEFAULTS. Prints one JSON object:
tokens per second, seconds from the start of loading to the first token's scores (importing Python packages is not
counted), peak memory (without what Python had before). A context of some depth is not read token by token: a short
prompt is read once, its state copied into many sequences, and these joined, so that the cache holds `depth` positions,
which the next tokens attend to. See docs/performance.md for the check that this is as fast as reading them."""
import ctypes
import importlib.util
import json
import pathlib
import sys
import time

DEFAULTS = {"prompt": 0, "generate": 0, "depth": 0, "sequences": 1, "kv": "f16", "flash": True, "threads": 2,
            "repetitions": 1, "context": 0, "repack": True}
FIRST_PROMPT, PIECE, STEP = 16, 512, 512
CACHE_TYPES = {"f32": 0, "f16": 1, "q8_0": 8}


def peak_bytes():
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def load_api(peer):
    """The peer's bindings and its library; ik_llama.cpp's, from source, does not find its second library alone."""
    if peer == "ik":
        folder = pathlib.Path(importlib.util.find_spec("ik_llama_cpp").submodule_search_locations[0]) / "lib"
        for second in folder.glob("libggml.so*"):
            ctypes.CDLL(str(second), mode=ctypes.RTLD_GLOBAL)
    module = importlib.import_module("llama_cpp.llama_cpp" if peer == "llama" else "ik_llama_cpp._ctypes_api")
    return module, module._lib


class Peer:
    def __init__(self, peer, path, settings):
        self.peer, self.settings = peer, settings
        self.api, self.lib = load_api(peer)
        self.before = peak_bytes()
        self.quiet()
        self.start = time.monotonic()
        self.api.llama_backend_init()
        self.open_model(path)
        self.open_context()
        self.random = 1

    def quiet(self):
        kind = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
        self.silence = kind(lambda level, text, data: None)
        self.lib.llama_log_set.argtypes, self.lib.llama_log_set.restype = [kind, ctypes.c_void_p], None
        self.lib.llama_log_set(self.silence, None)

    def open_model(self, path):
        params = self.api.llama_model_default_params()
        if self.peer == "ik":
            params.repack_tensors = self.settings["repack"]
            if params.repack_tensors:
                params.use_mmap = False
        elif hasattr(params, "use_extra_bufts"):
            params.use_extra_bufts = self.settings["repack"]
        self.model = self.api.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            raise SystemExit(f"peer.py: {self.peer} does not open {path}")
        self.n_vocab = self.api.llama_vocab_n_tokens(self.api.llama_model_get_vocab(self.model))

    def open_context(self):
        s = self.settings
        longest = max(s["prompt"], s["generate"], FIRST_PROMPT)
        copies = -(-s["depth"] // PIECE) if s["depth"] else 0
        cells = max(s["context"], s["sequences"] * longest + s["depth"] + (PIECE if copies else 0))
        params = self.api.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = -(-cells // 256) * 256, 2048, STEP
        params.n_seq_max = max(s["sequences"], copies + 1)
        params.n_threads = params.n_threads_batch = s["threads"]
        params.type_k = params.type_v = CACHE_TYPES[s["kv"]]
        if self.peer == "ik":
            params.flash_attn = s["flash"]
        else:
            params.flash_attn_type, params.kv_unified = int(s["flash"]), s["sequences"] == 1
            params.no_perf = True
        self.context = self.api.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit(f"peer.py: {self.peer} opens no context for {s}")
        self.batch = self.api.llama_batch_init(STEP, 0, 1)
        memory = None if self.peer == "ik" else self.api.llama_get_memory(self.context)
        self.memory = self.context if self.peer == "ik" else memory
        prefix = "llama_kv_cache" if self.peer == "ik" else "llama_memory"
        self.seq_rm, self.seq_cp = getattr(self.lib, prefix + "_seq_rm"), getattr(self.lib, prefix + "_seq_cp")
        self.seq_rm.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32]
        self.seq_rm.restype = ctypes.c_bool
        self.seq_cp.argtypes = [ctypes.c_void_p] + [ctypes.c_int32] * 4
        self.seq_cp.restype = None

    def token(self):
        self.random = (self.random * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.random >> 33) % self.n_vocab

    def decode(self, rows):
        """rows: (sequence, position, whether scores are wanted)."""
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (sequence, position, wanted) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = self.token(), position, 1
            batch.seq_id[i][0], batch.logits[i] = sequence, wanted
        status = self.api.llama_decode(self.context, batch)
        if status:
            raise SystemExit(f"peer.py: {self.peer} decodes {len(rows)} tokens with status {status}")
        if rows[-1][2] and not self.api.llama_get_logits_ith(self.context, len(rows) - 1):
            raise SystemExit("peer.py: no scores")

    def read_prompt(self, n, start=0):
        rows = [(s, start + i, int(i + 1 == n)) for s in range(self.settings["sequences"]) for i in range(n)]
        for at in range(0, len(rows), STEP):
            self.decode(rows[at:at + STEP])

    def generate(self, n, start=0):
        for i in range(n):
            self.decode([(s, start + i, 1) for s in range(self.settings["sequences"])])

    def truncate(self, start):
        for s in range(self.settings["sequences"]):
            self.seq_rm(self.memory, s, start, -1)

    def fill(self, depth):
        """The cache holds `depth` positions of sequence 0; returns the next position."""
        if not depth:
            return 0
        self.read_prompt(PIECE)
        flags = [ctypes.c_uint32] if self.peer == "ik" else []
        zero = [0] * len(flags)
        size, get, put = (getattr(self.lib, "llama_state_seq_" + f) for f in ("get_size", "get_data", "set_data"))
        size.argtypes, size.restype = [ctypes.c_void_p, ctypes.c_int32, *flags], ctypes.c_size_t
        for f in (get, put):
            f.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int32, *flags]
            f.restype = ctypes.c_size_t
        state = ctypes.create_string_buffer(size(self.context, 0, *zero))
        n = get(self.context, state, len(state), 0, *zero)
        for s in range(1, depth // PIECE):
            if not put(self.context, state, n, s, *zero):
                raise SystemExit(f"peer.py: {self.peer} does not take the state of a sequence")
            self.seq_cp(self.memory, s, 0, -1, -1)
        return PIECE

    def rate(self, what, n, start, warm):
        if not n:
            return 0.0
        rates = []
        for r in range(-1, self.settings["repetitions"]):
            self.truncate(start)
            tokens = warm if r < 0 else n
            begin = time.monotonic()
            what(tokens, start)
            if r >= 0:
                rates.append(n * self.settings["sequences"] / (time.monotonic() - begin))
        return sorted(rates)[len(rates) // 2]

    def measure(self):
        s = self.settings
        rows = [(0, i, int(i + 1 == FIRST_PROMPT)) for i in range(FIRST_PROMPT)]
        self.decode(rows)
        result = {"first_token_s": time.monotonic() - self.start}
        self.truncate(0)
        start = self.fill(s["depth"])
        warm = min(s["prompt"], 64)
        result["prompt_tokens_per_s"] = self.rate(self.read_prompt, s["prompt"], start, warm)
        result["generation_tokens_per_s"] = self.rate(self.generate, s["generate"], start, min(s["generate"], 8))
        result["peak_bytes"] = peak_bytes() - self.before
        return result


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("llama", "ik"):
        sys.exit(__doc__)
    print(json.dumps(Peer(sys.argv[1], sys.argv[2], DEFAULTS | json.loads(sys.argv[3])).measure()))
