"""What a model's Python loops over, experts or the text, told in the ops of hooks.py: methods in the place of its own.

A row's choice of experts is `places` [text, n] with `weights` [text, n].
"""
import contextlib
import inspect
import sys
import types

import torch

from .hooks import choose, conv, earlier, expert_linear, faded_sum, mix, ngrams, seen


def gated(self, hidden_states, top_k_index, top_k_weights):
    """gate_up_proj [experts, 2 f, d] and down_proj [experts, d, f]; an expert above their number gives its input."""
    n, k = self.down_proj.shape[0], top_k_index.shape[-1]
    total = getattr(self, "total_experts", n)
    kept = None
    if total > n:
        shares = torch.zeros(*top_k_index.shape[:-1], total).scatter(-1, top_k_index, top_k_weights)
        kept = shares[:, n:].sum(-1, keepdim=True)
        top_k_weights, top_k_index = shares[:, :n].topk(min(k, n), dim=-1)
    gate, up = expert_linear(hidden_states, top_k_index, self.gate_up_proj[:n], None, False).chunk(2, dim=-1)
    y = mix(expert_linear(self.act_fn(gate) * up, top_k_index, self.down_proj, None, False), top_k_weights)
    return y if kept is None else y + hidden_states * kept


def dbrx(self, hidden_states, top_k_index, top_k_weights):
    shape = self.num_experts, self.ffn_hidden_size, self.hidden_size
    w1, v1, w2 = (w.view(shape) for w in (self.mlp.w1, self.mlp.v1, self.mlp.w2))
    x = hidden_states.reshape(-1, self.hidden_size)
    gate, up = (expert_linear(x, top_k_index, w, None, False) for w in (w1, v1))
    y = expert_linear(self.mlp.activation_fn(gate) * up, top_k_index, w2, None, True)
    return mix(y, top_k_weights).view(hidden_states.shape)


# ---- JetMoe (Shen et al. 2024): queries, too, are of experts

def jetmoe_router(self, hidden_states):
    """places and weights alone: what follows is told without an order by experts."""
    logits, places = self.layer(hidden_states).float().topk(self.top_k, dim=1)
    return places, torch.softmax(logits, dim=1)


def jetmoe_experts(self, layer_input):
    x = layer_input.reshape(-1, self.input_size)
    places, weights = self.router(x)
    gate, up = expert_linear(x, places, self.input_linear.weight, None, False).chunk(2, dim=-1)
    y = expert_linear(self.activation(gate) * up, places, self.output_linear.weight, None, False)
    return mix(y, weights).view(layer_input.shape) + self.bias


def jetmoe_map(self, layer_input):
    x = layer_input.reshape(-1, self.input_size)
    chosen = self.router(x)
    y = expert_linear(x, chosen[0], self.input_linear.weight, None, False)
    return y.view(*layer_input.shape[:-1], self.top_k, self.hidden_size), None, chosen


def jetmoe_reduce(self, layer_input, chosen):
    places, weights = chosen
    y = expert_linear(layer_input.reshape(-1, *layer_input.shape[-2:]), places, self.output_linear.weight, None, False)
    return mix(y, weights).view(*layer_input.shape[:-2], self.input_size) + self.bias


# ---- lightning attention (MiniMax, 2025): a sum of keys and values that fades

def lightning(self, hidden_states, *_, **__):
    rows = hidden_states.shape[:2]
    qkv = self.act_fn(self.qkv_proj(hidden_states)).view(*rows, self.num_attention_heads, 3 * self.head_dim)
    y = faded_sum(*qkv.split(self.head_dim, dim=3), torch.exp(-self.slope_rate.reshape(-1)))
    y = torch.sigmoid(self.output_gate(hidden_states)) * self.norm(y.reshape(*rows, -1))
    return self.out_proj(y), None


# ---- an indexer that chooses blocks of positions, for each head of the keys (MiniMax-M3)

def block_indexer(self, hidden_states, position_embeddings, *_):
    in_heads = lambda x: x.view(*hidden_states.shape[:2], -1, self.head_dim)
    turned = sys.modules[type(self).__module__].apply_rotary_pos_emb
    q = self.q_norm(in_heads(self.q_proj(hidden_states))).transpose(1, 2)
    k = self.k_norm(in_heads(self.k_proj(hidden_states))).transpose(1, 2)
    q, k = turned(q, k, *(x[..., :self.head_dim] for x in position_embeddings))
    return choose(q, k, self.topk_blocks, self.block_size, self.local_blocks)


# ---- an indexer that chooses whole blocks by the mean of their keys, and what follows the last (Qwen 4, 2026)

def pooled_indexer(self, hidden_states, position_embeddings, *_):
    d, n = self.index_head_dim, self.compress_ratio
    turned = sys.modules[type(self).__module__].apply_rotary_pos_emb
    q, k = self.index_qk_proj(hidden_states).split([self.index_n_heads * d, d], dim=-1)
    k = conv(k.transpose(1, 2), torch.full((d, n), 1 / n), None).transpose(1, 2)  # in a block's last row: its mean
    q, k = (x.view(*x.shape[:2], -1, d) for x in (q, k))
    here, first = position_embeddings, [earlier(x, n - 1) for x in position_embeddings]
    q = turned(self.q_layernorm(q), cos=here[0], sin=here[1], unsqueeze_dim=2)
    k = turned(self.k_layernorm(k), cos=first[0], sin=first[1], unsqueeze_dim=2)
    return seen(q.transpose(1, 2), k.transpose(1, 2), None, self.block_topk + 1, n)


# ---- rows of a table at hashes of neighbouring tokens (the same)

def hashed(self, input_ids, *_):
    return ngrams(input_ids, self.ngram_embedding.weight, self.layer_multipliers, self.ngram_heads_vocab_sizes,
                  self.ngram_heads_offsets, self.eos_token_id, self.unigram_vocab_size).flatten(-2)


METHODS = {"DbrxExperts": {"forward": dbrx}, "JetMoeTopKGating": {"forward": jetmoe_router},
           "JetMoeMoE": {"forward": jetmoe_experts}, "JetMoeMoA": {"map": jetmoe_map, "reduce": jetmoe_reduce},
           "MiniMaxLightningAttention": {"forward": lightning}, "MiniMaxM3VLIndexer": {"forward": block_indexer},
           "Qwen4ExpTextQSAIndexer": {"forward": pooled_indexer}, "Qwen4ExpTextNGramEmbedding": {"forward": hashed}}


def methods_of(module):
    """What takes the place of a module's methods: by its class, or where it is experts as most models have them."""
    takes = list(inspect.signature(type(module).forward).parameters)
    usual = all(hasattr(module, name) for name in ("gate_up_proj", "down_proj", "act_fn"))
    if takes == ["self", "hidden_states", "top_k_index", "top_k_weights"] and usual and not hasattr(module, "has_gate"):
        return {"forward": gated}
    return METHODS.get(type(module).__name__, {})


@contextlib.contextmanager
def methods(model):
    """For its time, these are the model's."""
    changed = [(m, name, f) for m in model.modules() for name, f in methods_of(m).items()]
    try:
        for module, name, function in changed:
            setattr(module, name, types.MethodType(function, module))
        yield
    finally:
        for module, name, _ in changed:
            delattr(module, name)
