"""The proof before a file is kept: Transformers and andiron on the same tokens, as a prompt and token by token."""
import contextlib
import json
import pathlib
import subprocess
import tempfile

import numpy as np
import torch

from .values import Refused

LIMIT = 2e-4  # of the largest logit, as float32 sums in another order leave it
LENGTHS = (1, 7, 24)


@contextlib.contextmanager
def as_transformers_runs(model):
    """The model's own attention and experts come back after a trace has put hooks.py's in their place."""
    configs = {id(c): c for c in (getattr(m, "config", None) for m in model.modules()) if c is not None}
    kept = [(c, {k: v for k, v in vars(c).items() if k.endswith("_implementation_internal")}) for c in configs.values()]
    model.proof_kept = kept
    yield
    del model.proof_kept


@contextlib.contextmanager
def untraced(model):
    now = [(c, {k: getattr(c, k) for k in kept}) for c, kept in model.proof_kept]
    for c, kept in model.proof_kept:
        vars(c).update(kept)
    yield
    for c, kept in now:
        vars(c).update(kept)


def andiron_logits(program, path, tokens, decode):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "logits.safetensors"
        command = [program, "logits", str(path), "--tokens", ",".join(map(str, tokens)), "-o", str(out),
                   "--kv-type", "f32", "-c", "64", *(["--decode", str(decode)] if decode else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused(done.stderr.strip() or f"{program} stopped with {done.returncode}")
        data = out.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])["logits"]
    return np.frombuffer(data[8 + size:], np.float32).reshape(header["shape"])


def difference(model, path, program):
    """The largest, over three lengths, in parts of the largest logit; Refused where it is too large."""
    generator, worst = torch.Generator().manual_seed(1), 0.0
    n_vocab = model.get_input_embeddings().weight.shape[0]
    for n in LENGTHS:
        tokens = torch.randint(0, n_vocab, (1, n), generator=generator)
        with torch.no_grad(), untraced(model):
            want = model(input_ids=tokens, use_cache=False).logits[0].float().numpy()
        for decode in (0, n - 1):
            got = andiron_logits(program, path, tokens[0].tolist(), decode)
            far = float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30))
            if not far <= LIMIT:
                raise Refused(f"the logits of {n} tokens, {decode} of them one by one, are {far:.1e} of the largest "
                              f"away from Transformers', more than {LIMIT:.0e}")
            worst = max(worst, far)
    return worst
