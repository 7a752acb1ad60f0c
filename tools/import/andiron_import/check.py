"""The proof before a file is kept: Transformers and andiron on the same tokens, as a prompt and token by token."""
import contextlib
import json
import pathlib
import subprocess
import tempfile

import numpy as np
import torch

from . import heads
from .values import Refused

LIMIT = 2e-4  # of the largest logit, as float32 sums in another order leave it
LENGTHS = (1, 7, 24)


def implementations(model):
    """The model's own attention and experts, [(configuration, its fields)]: to be asked for before a trace."""
    configs = {id(c): c for c in (getattr(m, "config", None) for m in model.modules()) if c is not None}
    return [(c, {k: v for k, v in vars(c).items() if k.endswith("_implementation_internal")}) for c in configs.values()]


@contextlib.contextmanager
def run_by(own):
    """For its time the model runs as Transformers would run it."""
    now = [(c, {k: getattr(c, k) for k in fields}) for c, fields in own]
    for c, fields in own:
        vars(c).update(fields)
    yield
    for c, fields in now:
        vars(c).update(fields)


def said_by(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr.strip() or f"{command[0]} stopped with {done.returncode}")
    return done.stdout


def andiron_vector(program, path, tokens):
    ids = ",".join(map(str, tokens))
    return np.array(json.loads(said_by([program, "embed", str(path), "--tokens", ids, "--raw"])), np.float32)


def andiron_logits(program, path, tokens, decode):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "logits.safetensors"
        said_by([program, "logits", str(path), "--tokens", ",".join(map(str, tokens)), "-o", str(out),
                 "--kv-type", "f32", "-c", "64", *(["--decode", str(decode)] if decode else [])])
        data = out.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])["logits"]
    return np.frombuffer(data[8 + size:], np.float32).reshape(header["shape"])


def difference(model, own, path, program, whole):
    """The largest, over three lengths, in parts of the largest logit; Refused where it is too large. whole: a text is
    read at once, never token by token."""
    generator, worst = torch.Generator().manual_seed(1), 0.0
    for n in LENGTHS:
        tokens = heads.some_tokens(model, n, generator)
        with torch.no_grad(), run_by(own):
            want = heads.numbers(model(**heads.arguments(model, tokens)))[0].float().numpy()
        for decode in (0, n - 1)[:1 if whole or want.ndim == 1 else 2]:
            ids = tokens[0].tolist()
            got = andiron_vector(program, path, ids) if want.ndim == 1 else andiron_logits(program, path, ids, decode)
            far = float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30))
            if not far <= LIMIT:
                raise Refused(f"the logits of {n} tokens, {decode} of them one by one, are {far:.1e} of the largest "
                              f"away from Transformers', more than {LIMIT:.0e}")
            worst = max(worst, far)
    return worst
