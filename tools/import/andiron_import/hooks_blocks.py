"""DeepSeek-V4 (2026): one entry for each block of rows, kept beside the rows; METHODS of the classes that make them.

A row's entry is that of the block it ends; those of other rows are read by none.
"""
import sys

import torch

from .hooks import seen, state_op
from .hooks_methods import METHODS

block_mean = state_op("block_mean(Tensor kv, Tensor gate, Tensor bias, int n_series) -> Tensor",
                      lambda kv, gate, bias, n: kv.new_empty([*kv.shape[:2], kv.shape[2] // n]))
block_mask = state_op("block_mask(Tensor rows, Tensor? chosen, int size) -> Tensor",
                      lambda rows, *_: rows.new_empty([1, 1, rows.shape[1], rows.shape[1]], dtype=torch.bool))


def turned(self, x, position_ids):
    """x [1, heads, text, d]."""
    cos, sin = self.rotary_emb(x, position_ids=position_ids, layer_type=self.rope_layer_type)
    return sys.modules[type(self).__module__].apply_rotary_pos_emb(x, cos, sin)


def entry(self, hidden_states, position_ids):
    n_series = self.position_bias.shape[1] // self.head_dim
    x = block_mean(self.kv_proj(hidden_states), self.gate_proj(hidden_states), self.position_bias, n_series)
    return turned(self, self.kv_norm(x).unsqueeze(1), position_ids - (self.compress_rate - 1))


def compressor(self, hidden_states, q_residual, position_ids, cache, layer_idx):
    chosen = None
    if hasattr(self, "indexer"):
        chosen = self.indexer(hidden_states, q_residual, position_ids, cache, layer_idx)
    return entry(self, hidden_states, position_ids), block_mask(hidden_states, chosen, self.compress_rate)


def indexer(self, hidden_states, q_residual, position_ids, *_):
    q = self.q_b_proj(q_residual).view(*hidden_states.shape[:2], -1, self.head_dim).transpose(1, 2)
    weights = self.scorer.weights_proj(hidden_states)
    return seen(turned(self, q, position_ids), entry(self, hidden_states, position_ids), weights, self.index_topk + 1,
                self.compress_rate)


METHODS |= {"DeepseekV4HCACompressor": {"forward": compressor}, "DeepseekV4CSACompressor": {"forward": compressor},
            "DeepseekV4Indexer": {"forward": indexer}}
