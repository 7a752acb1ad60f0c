"""ProphetNet (Qi et al. 2020): beside the text's own rows a stream of others, the first of which give the scores of the
next token; those for tokens farther ahead are not told.
"""
import sys

import torch

from .hooks import attend, mask
from .hooks_local import beside
from .hooks_methods import METHODS
from .hooks_states import by_distance


def stream(self, hidden_states, attention_mask=None, **_):
    """attention_mask: the text's own rows, where these are of the other stream: each sees the former and itself."""
    if self.num_buckets < 4:
        raise NotImplementedError("rows in turn and those before them in one bucket of distances")
    x, main, n, most = hidden_states, attention_mask, hidden_states.shape[1], self.relative_max_distance + 1
    in_heads = lambda y: y.view(1, n, self.num_attn_heads, -1).transpose(1, 2)
    q, k, v = (in_heads(proj(x)) for proj in (self.query_proj, self.key_proj, self.value_proj))
    q, seen = q / self.head_dim ** 0.5, mask(n, n, "causal")
    biases = self.relative_pos_embeddings(x).view(1, n, -1, self.num_attn_heads).permute(0, 3, 1, 2)
    back = torch.arange(-most, most + 1) + (main is not None)  # the row itself is that of the next token
    at = sys.modules[type(self).__module__].compute_relative_buckets(self.num_buckets, self.relative_max_distance,
                                                                     -back)
    if main is not None:
        q = beside(q, biases[..., :1] - biases[..., 1:2])  # which its own key alone reads
        k = torch.cat([beside(in_heads(self.key_proj(main)), torch.zeros(1, 1, 1, 1)),
                       beside(k, torch.ones(1, 1, 1, 1))], 2)
        v = torch.cat([in_heads(self.value_proj(main)), v], 2)
        seen = torch.cat([seen, mask(n, n, "causal&sliding(1)")], -1)
    y = attend(q, k, v, seen, None, by_distance(biases, None, at), 1.0, 0.0, False, None, 0)
    return self.out_proj(y.flatten(2)), None, None


def next_rows(decoder, tokens, source):
    table = decoder.position_embeddings
    places = torch.arange(tokens.shape[1])[None] + 1 + table.padding_idx
    norm = decoder.embeddings_layer_norm
    main = norm(decoder.word_embeddings(tokens) + table._forward(places))
    ahead = norm(decoder.ngram_embeddings.weight[-1] + table._forward(places + 1))
    for layer in decoder.layers:
        main, ahead = layer(main, encoder_hidden_states=source)[0], layer(ahead, main, source)[0]
    return ahead


def scores(self, input_ids=None, decoder_input_ids=None, **_):
    source = None if decoder_input_ids is None else self.prophetnet.encoder(input_ids)[0]
    tokens = input_ids if source is None else decoder_input_ids
    return {"logits": self.lm_head(next_rows(self.prophetnet.decoder, tokens, source))}


METHODS |= {"ProphetNetNgramSelfAttention": {"forward": stream}, "ProphetNetForCausalLM": {"forward": scores},
            "ProphetNetForConditionalGeneration": {"forward": scores}}
