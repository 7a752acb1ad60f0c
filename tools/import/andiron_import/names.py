"""Statements with fewer variables: the language has 96 a block."""
import heapq
import re

MADE = re.compile(r"(?<![\w.])v\d+\b")  # a variable that emit.py made


def reused(lines, result):
    """Lines `v1 = ...` and what is read after them, where a variable takes the name of one that nothing reads any more;
    and how many names there are."""
    last = {name: i for i, line in enumerate([*lines, result]) for name in MADE.findall(line)}
    free, n, now, out = [], 0, {}, []
    say = lambda text: MADE.sub(lambda found: now.get(found[0], found[0]), text)
    for i, line in enumerate(lines):
        name, _, value = line.partition(" = ")
        value = say(value)
        for read in [r for r in now if last[r] == i]:
            heapq.heappush(free, int(now.pop(read)[1:]))
        n += not free
        now[name] = f"v{heapq.heappop(free) if free else n}"
        out.append(f"{now[name]} = {value}")
    return out, say(result), n
