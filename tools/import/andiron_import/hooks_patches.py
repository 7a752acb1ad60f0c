"""Patches of bytes, whose ends another network finds (BLT, Pagnoni et al. 2024), told byte after byte: METHODS.

Each byte computes its patch as if that ended there; only what stands in a row that ends one is read by others.
"""
import sys

import torch
from transformers.modeling_outputs import BaseModelOutputWithPast

from .hooks import FUNCTIONS, mask, state_op
from .hooks_local import is_first
from .hooks_methods import METHODS
from .hooks_states import by_key, recur
from .shrink import TUNED

largest = state_op("largest(Tensor x, Tensor start) -> Tensor", lambda x, _: x.new_empty(x.shape))
within = state_op("within(Tensor q, Tensor k, Tensor v, Tensor reach, float scale) -> Tensor",
                  lambda q, k, v, *_: q.new_empty([1, q.shape[2], q.shape[1], v.shape[3]]))
byte_hash = state_op("byte_hash(Tensor ids, int n, int prime, int size) -> Tensor",
                     lambda ids, *_: torch.empty_like(ids))
FAR = -3e4  # a score of what is not seen, which F16 has, too


def of_layers(part, x, positions, seen):
    """x through layers that attend along the text."""
    rope = part.rotary_emb(x, positions)
    for layer in part.layers:
        x = layer(x, position_embeddings=rope, attention_mask=seen)
    return x


def bounds_of(self, tokens, positions):
    """[1, text, 1] each: 1 where a patch ends, in the first row and where the next byte is hard to tell; where one
    starts."""
    if self.patcher is None or self.config.patching_mode != "entropy":
        return torch.ones(1, tokens.shape[1], 1), torch.ones(1, tokens.shape[1], 1)
    p = self.patcher
    x = of_layers(p, p.embed_tokens(tokens), positions, window(tokens, p.config.sliding_window))
    logs = torch.log_softmax(p.lm_head(p.norm(x)), -1)
    hard = (-(logs.exp() * logs).sum(-1, keepdim=True) > self.config.patching_threshold).float()
    first = is_first(x)[0]
    end = first + hard * (1 - first)
    return end, first + torch.nn.functional.pad(end, (0, 0, 1, 0))[:, :-1]


def window(tokens, n):
    return mask(tokens.shape[1], tokens.shape[1], f"causal&sliding({n})" if n else "causal")


def in_heads(proj, x, n):
    return proj(x).view(*x.shape[:-1], n, -1)


def patch_of_bytes(cross, x, best, reach):
    """Several rows of each patch, best [1, text, k, d], as queries of its bytes."""
    n, k = best.shape[1:3]
    q = in_heads(cross.q_proj, cross.q_norm(best), cross.num_heads)
    q = q.permute(0, 3, 2, 1, 4).reshape(1, cross.num_heads * k, n, -1)
    keys, values = (in_heads(proj, cross.k_norm(x), cross.num_key_value_heads).transpose(1, 2)
                    for proj in (cross.k_proj, cross.v_proj))
    y = within(q, keys, values, reach, cross.scaling).view(1, n, cross.num_heads, k, -1)
    return cross.o_proj(y.transpose(2, 3).flatten(3)) + best


def byte_of_patch(cross, x, patch):
    """Each byte's x, as a query of the rows [1, text, k, d] of one patch."""
    each = cross.num_key_value_groups
    q = in_heads(cross.q_proj, cross.q_norm(x), cross.num_heads)[:, :, None]
    keys, values = (in_heads(proj, cross.k_norm(patch), cross.num_key_value_heads).repeat_interleave(each, 3)
                    for proj in (cross.k_proj, cross.v_proj))
    shares = torch.softmax((q * keys).sum(-1) * cross.scaling, 2)
    return cross.o_proj((shares[..., None] * values).sum(2).flatten(2)) + x


def blt(self, input_ids=None, position_ids=None, **_):
    encoder, decoder, c = self.local_encoder, self.local_decoder, self.config
    if c.max_patch_length is not None:
        raise NotImplementedError("patches of a largest length, the last of which Transformers tells by the text's end")
    n, rows = input_ids.shape[1], lambda x: x.view(1, input_ids.shape[1], c.cross_attn_k, -1)
    seen = window(input_ids, c.local_attention_window_len and c.encoder_config.sliding_window)
    x = sys.modules[type(self).__module__].compute_hash_embeddings(
        input_ids, encoder, self.encoder_hash_tok_embedding, c.encoder_hash_byte_group_nb_functions,
        c.encoder_hash_byte_group_size, c.encoder_hash_byte_group_vocab)
    end, start = bounds_of(self, input_ids, position_ids)
    place = recur(start, torch.ones_like(start)) - 1
    x = of_layers(encoder, x, position_ids, seen)
    best = rows(encoder.patch_embedding_projection(largest(x, start)))
    patch = best + patch_of_bytes(encoder.cross_attn_layers[-1], x, best, recur(torch.ones_like(start), 1 - start))
    whole = self.global_transformer
    heads = whole.config.num_key_value_heads
    hidden = by_key(((1 - end) * FAR).view(1, 1, n).expand(1, heads, n), mask(n, n, "causal"), 0)
    patch = of_layers(whole, whole.token_embedding_projection(patch.flatten(2)), place[..., 0], hidden)
    last = rows(decoder.patch_embedding_projection(recur(patch * end, 1 - end)))
    rope = decoder.rotary_emb(x, position_ids)
    for i, layer in enumerate(decoder.layers):
        if i < len(decoder.cross_attn_layers):
            x = x + byte_of_patch(decoder.cross_attn_layers[i], x, last)
        x = layer(x, position_embeddings=rope, attention_mask=seen)
    return BaseModelOutputWithPast(last_hidden_state=decoder.norm(x))


def group_hash(token_ids, group_size=2, prime=1000000007, max_hash=30000):
    return byte_hash(token_ids, group_size, prime, max_hash)


@torch.no_grad()
def half_end(model):
    """With a threshold that half of the bytes of some text are above."""
    tokens = torch.arange(256).view(1, -1) * 7 % model.config.vocab_size
    of_patches = {"patch_size": model.config.patch_size, "threshold": model.config.patching_threshold}
    if model.model.patcher is not None:
        model.config.patching_threshold = float(model.model.patcher(tokens, **of_patches)[0].median())
    return model


TUNED |= {"BltForCausalLM": half_end}
FUNCTIONS |= {"byte_group_hash_function": group_hash}
METHODS |= {"BltModel": {"forward": blt}}
