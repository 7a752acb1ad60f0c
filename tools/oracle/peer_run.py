#!/usr/bin/env python3
"""llama.cpp on tiny models, in a process of its own because its asserts abort.

Peer is that process: probe() tells the names and shapes of all tensors llama.cpp would take with a file's metadata,
load() whether it opens a file, run() gives its logits or embeddings. Each raises ValueError with llama.cpp's words.
"""
import ctypes
import json
import pathlib
import subprocess
import sys

import numpy as np

import peer_gguf


def library():
    import llama_cpp
    from llama_cpp import llama_cpp as low
    said = []

    @low.llama_log_callback
    def log(level, message, _):
        said.append(message.decode(errors="replace"))

    low.llama_log_set(log, ctypes.c_void_p(0))
    low.kept, low.said = log, said
    low.llama_backend_init()
    return low


class Tensor(ctypes.Structure):
    """The beginning of a ggml_tensor."""
    _fields_ = [("type", ctypes.c_int), ("buffer", ctypes.c_void_p), ("ne", ctypes.c_int64 * 4),
                ("nb", ctypes.c_size_t * 4)]


def probe(low, path):
    base = ctypes.CDLL(str(pathlib.Path(low.__file__).parent / "lib/libggml-base.so"))

    class Params(ctypes.Structure):
        _fields_ = [("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p)]

    base.gguf_init_from_file.restype = ctypes.c_void_p
    base.gguf_init_from_file.argtypes = [ctypes.c_char_p, Params]
    base.ggml_get_name.restype = ctypes.c_char_p
    base.ggml_get_name.argtypes = [ctypes.c_void_p]
    base.ggml_nbytes.restype = ctypes.c_size_t
    base.ggml_nbytes.argtypes = [ctypes.c_void_p]
    meta = base.gguf_init_from_file(str(path).encode(), Params(True, None))
    found = {}
    low.said.clear()

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
    def take(p, _):
        dims = list(ctypes.cast(p, ctypes.POINTER(Tensor)).contents.ne)
        while len(dims) > 1 and dims[-1] == 1:
            dims.pop()
        found[base.ggml_get_name(p).decode()] = dims

    call = low._lib.llama_model_init_from_user
    call.restype = ctypes.c_void_p
    call.argtypes = [ctypes.c_void_p, type(take), ctypes.c_void_p, low.llama_model_params]
    if not call(meta, take, None, low.llama_model_default_params()):
        raise ValueError(complaint(low))
    return found


def complaint(low):
    bad = [s.strip() for s in low.said if "error loading" in s] or [s.strip() for s in low.said if "error" in s.lower()]
    return bad[0] if bad else "".join(low.said[-3:]).strip()


def load(low, path):
    low.said.clear()
    params = low.llama_model_default_params()
    params.use_extra_bufts = False
    params.load_mode = 0
    model = low.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ValueError(complaint(low))
    return model


def add_lora(low, model, ctx, path, scale):
    adapter = low.llama_adapter_lora_init(model, str(path).encode())
    if not adapter:
        raise ValueError(complaint(low))
    low.llama_set_adapters_lora(ctx, (low.llama_adapter_lora_p_ctypes * 1)(adapter), 1, (ctypes.c_float * 1)(scale))


def run(low, path, tokens, each=False, embed=False, flash=False, encoder=(), lora=None, pooling=0):
    """Rows [tokens][vocabulary, or embedding]. lora: an adapter's path, and its scale. pooling: one row of the text."""
    model = load(low, path)
    params = low.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = 256
    params.n_threads = params.n_threads_batch = 1
    params.flash_attn_type = int(flash)
    params.type_k = params.type_v = 0
    params.embeddings = embed
    params.pooling_type = pooling if embed else -1
    ctx = low.llama_init_from_model(model, params)
    if not ctx:
        raise ValueError(complaint(low))
    if lora:
        add_lora(low, model, ctx, *lora)
    width = low.llama_model_n_embd_out(model) if embed else low.llama_vocab_n_tokens(low.llama_model_get_vocab(model))
    rows = []
    if encoder:
        read = (low.llama_token * len(encoder))(*encoder)
        status = low.llama_encode(ctx, low.llama_batch_get_one(read, len(encoder)))
        if status:
            raise ValueError(f"llama_encode gives {status}: {complaint(low)}")
    for at, part in enumerate([t] for t in tokens) if each else [(0, tokens)]:
        batch = low.llama_batch_init(len(part), 0, 1)
        batch.n_tokens = len(part)
        for i, token in enumerate(part):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, at + i, 1, 1
            batch.seq_id[i][0] = 0
        status = (low.llama_encode if embed and low.llama_model_has_encoder(model) else low.llama_decode)(ctx, batch)
        if status:
            raise ValueError(f"llama.cpp gives {status}: {complaint(low)}")
        if pooling:
            n = low.llama_model_n_cls_out(model)
            rows.append(np.ctypeslib.as_array(low.llama_get_embeddings_seq(ctx, 0), (n,)).copy())
            continue
        get = low.llama_get_embeddings_ith if embed else low.llama_get_logits_ith
        rows += [np.ctypeslib.as_array(get(ctx, i), (width,)).copy() for i in range(len(part))]
        low.llama_batch_free(batch)
    low.llama_free(ctx)
    low.llama_model_free(model)
    return np.array(rows)


def serve():
    """A request a line, as JSON, and an answer a line, until the input ends; this process may die of any of them."""
    low = library()
    sys.stdout.write("ready\n")
    for line in sys.stdin:
        sys.stdout.flush()
        request = json.loads(line)
        do = request.pop("do")
        try:
            if do == "probe":
                answer = {"found": probe(low, request["path"])}
            elif do == "load":
                low.llama_model_free(load(low, request["path"]))
                answer = {}
            else:
                out = request.pop("out")
                np.save(out, run(low, **request))
                answer = {}
        except (ValueError, OSError) as e:
            answer = {"error": str(e) or "failed"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


class Peer:
    """llama.cpp in a child process, started again where it died."""

    def __init__(self, folder):
        self.folder, self.child = pathlib.Path(folder), None

    def close(self):
        if self.child:
            self.child.stdin.close()
            self.child.stdout.close()
            self.child.wait()
            self.child = None

    def ask(self, **request):
        if not self.child:
            self.errors = open(self.folder / "errors", "w+")
            self.child = subprocess.Popen([sys.executable, __file__, "serve"], stdin=subprocess.PIPE, text=True,
                                          stdout=subprocess.PIPE, stderr=self.errors)
        try:
            self.child.stdin.write(json.dumps(request) + "\n")
            self.child.stdin.flush()
            line = self.child.stdout.readline()
            line = self.child.stdout.readline() if line == "ready\n" else line
            answer = json.loads(line)
        except (json.JSONDecodeError, BrokenPipeError):
            self.close()
            self.errors.seek(0)
            lines = [s for s in self.errors.read().splitlines() if s and "libggml" not in s and "[" not in s[:1]]
            told = [s for s in lines if "ASSERT" in s or "abort" in s.lower() or ".cpp" in s or ".c:" in s]
            raise ValueError("died: " + ((told or lines or ["without a word"])[0])[-200:]) from None
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def probe(self, path):
        return self.ask(do="probe", path=str(path))["found"]

    def load(self, path):
        self.ask(do="load", path=str(path))

    def run(self, path, tokens, **how):
        out = self.folder / "rows.npy"
        self.ask(do="run", path=str(path), tokens=tokens, out=str(out), **how)
        return np.load(out)


if __name__ == "__main__":
    serve()
