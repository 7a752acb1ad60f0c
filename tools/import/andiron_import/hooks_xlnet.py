"""XLNet (Yang et al. 2019): scores of a query and the sine and cosine of a distance, by the sum of two angles."""
import torch

from .hooks import attend, mask
from .hooks_methods import METHODS


def of_places(self, qlen, klen, **_):
    """[text, 1, d]: sines, then cosines, of each place; of a distance they are made in `attention`."""
    if self.bi_data or self.clamp_len > 0:
        raise NotImplementedError("distances that are counted from both ends, or that end somewhere")
    rate = 1 / torch.pow(10000, torch.arange(0, self.d_model, 2.0) / self.d_model)
    angle = torch.arange(qlen)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], -1)[:, None]


def attention(self, h, g, attn_mask_h, attn_mask_g, r, *_, **__):
    """h [text, 1, d]; the queries' products with all that a distance may be, [heads, text, sines and cosines]."""
    n, in_heads = h.shape[0], lambda w: (h[:, 0] @ w.flatten(1)).view(-1, self.n_head, self.d_head).transpose(0, 1)
    q, k, v = (in_heads(w) for w in (self.q, self.k, self.v))
    of_sine, of_cosine = ((q + self.r_r_bias[:, None]) @ self.r.permute(1, 2, 0)).chunk(2, -1)
    sine, cosine = r[:, 0].chunk(2, -1)
    q = torch.cat([q + self.r_w_bias[:, None], of_sine * sine + of_cosine * cosine,
                   of_cosine * sine - of_sine * cosine], -1)
    k = torch.cat([k, *(x[None].expand(self.n_head, n, -1) for x in (cosine, sine))], -1)
    seen = mask(n, n, "full" if attn_mask_h is None else "causal")
    y = attend(q[None], k[None], v[None], seen, None, None, self.scale, 0.0, False, None, 0)
    out = y.flatten(2)[0] @ self.o.flatten(1).t()
    return self.layer_norm(out[:, None] + h), None


METHODS |= {"XLNetModel": {"relative_positional_encoding": of_places}, "XLNetRelativeAttention": {"forward": attention}}
