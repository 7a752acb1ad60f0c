"""What hooks_local.py made one op of, as andiron's ops."""
import torch

from . import text
from .near import ByDistance
from .ops_blocks import positions
from .ops_states import of
from .rows import OPS, apply, as_rows, combine, op
from .values import Const, Mask, Node, Rows, alike


@op("block_of.default")
def _(t, x, size):
    """Which block of so many rows each is in; those after the last whole block are in that one."""
    one = alike(1, 1)
    n = Rows.of(Node("attend", [(one, 1)] * 3, 1, 1, {"scale": 1.0, "sees": "all", "by": "none"}), t.shape)
    blocks = lambda rows: apply("floor", of("mul", of("add", rows, 0.5), 1 / size))
    own, last = blocks(positions()), of("add", blocks(n), -1.0)
    over = apply("relu", combine("add", own, of("mul", last, -1.0), t.shape))
    return combine("add", own, of("mul", over, -1.0), t.shape)


def near_blocks(table, of_away, rest, size):
    """(queries' scores of blocks, none of keys, which of them a distance of rows has): a key is the last row of its
    block. of_away [2, 2 m + 1]: rows of the table for blocks from -m to m away, and for those of a row after the last
    whole block."""
    pairs, place = of_away.known().unique(dim=1, return_inverse=True)
    (h, n), most = (table.shape[1], pairs.shape[1]), of_away.shape[1] // 2
    one = lambda w, i: w[pairs[i]].t().reshape(1, h, 1, n)
    own = table.then(lambda w: one(w, 0), (1, h, 1, n), f"blocks{most}")
    more = table.then(lambda w: one(w, 1) - one(w, 0), (1, h, 1, n), f"blocks after{most}")
    shape = (1, h, text.ROWS, n)
    rows = torch.arange(-most * size, most * size + 1)
    at = place[(-((rows + size - 1) // size)).clamp(-most, most) + most]
    each = combine("mul", as_rows(more), rest.view((1, 1, text.ROWS, 1)), shape)
    return combine("add", each, as_rows(own), shape), None, Const.literal(at.float())


@op("beside_blocks.default")
def _(t, q, k, v, of_k, of_v, mask, bias, table, of_away, rest, size):
    """One softmax over what is near and over the rows that end blocks."""
    attend = lambda *more: OPS["attend.default"](t, q, *more, 1.0, 0.0, False)
    first = attend(k, v, mask, None, bias).node
    first.attrs["open"], first.n = 1, first.n + 2 * first.heads
    distances = ByDistance(*near_blocks(table, of_away, rest, size), t.shape)
    out = attend(of_k, of_v, Mask("full", mask.shape), None, None)
    distances.put(out.node)
    out.node.attrs["every"] = size
    out.node.inputs.append((first, first.heads))
    return out
