"""Fits src/estimate/weights.bin. Needs numpy, scipy, tiktoken and the Qwen2 ranks.

    python fit.py <qwen.tiktoken> <corpus/fit> <out.bin> [more.jsonl: {"kind", "text"} per line]

Every character gets the mean number of tokens that begin in its context (its class and the class before it), and a
correction by the last three characters (two if wide), hashed; then a ridge regression on whole documents, with the relative
error as its loss, moves all of them a little. White space is charged to what follows it. The held-out half of the corpus is
never read here.
"""
import base64, glob, json, random, sys, unicodedata
import numpy as np, scipy.sparse as sp, tiktoken
from scipy.sparse.linalg import lsqr

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")
ASCII, COLUMNS = 64, 8
SCALE = 128
RIDGE = 1.0

# --- the classes: as in classes.rs -------------------------------------------------------------------------------------
LETTER, DIGIT, SPACE, NEWLINE, MARK = 1, 2, 3, 4, 5          # groups; scripts have their own, from 6
LATX, VIET, CYR, GREEK, RTL, INDIC, CJK, PUNCT, OTHER = range(55, 64)   # what a wide character is to the one after it
TOP = 0x110000
first, group, wide = np.full(TOP, OTHER), np.full(TOP, 15), np.zeros(TOP, np.int64)
first[:128], group[:128] = 0, 0
for i in range(26):
    first[97 + i] = 1 + i
    first[65 + i] = 28 if chr(65 + i) in "AEIOU" else 27
group[65:91] = group[97:123] = LETTER
first[48:58], group[48:58] = 29, DIGIT
for c, (f, g) in {32: (30, SPACE), 10: (31, NEWLINE), 9: (32, SPACE), 13: (33, NEWLINE)}.items():
    first[c], group[c] = f, g
for i, chars in enumerate(["\"", "'", "([", ")]", "{", "}", "<", ">", ",", ".", ";", ":", "/", "\\", "-", "_", "=", "+*&|",
                           "!?", "@#$%^~", "`"]):
    for c in chars:
        first[ord(c)], group[ord(c)] = 34 + i, MARK
STAND_IN = 14                        # the control characters from here on stand for wide characters, LATX to OTHER
first[STAND_IN : STAND_IN + 9] = range(LATX, OTHER + 1)
MATRA = [0, 1, 2, 3, *range(0x3A, 0x3D), *range(0x3E, 0x50), *range(0x51, 0x58), 0x62, 0x63]
THAI = [0x31, *range(0x34, 0x3B), *range(0x47, 0x4F)]
spans = lambda *s: [c for a, b in s for c in range(a, b)]
matras = lambda *bases: [b + m for b in bases for m in MATRA]
WIDE = [  # (code points, first, group); later rows overrule earlier ones
    (spans((0x80, TOP)), OTHER, 15), (spans((0xC0, 0x100)), LATX, 1), (spans((0x100, 0x250)), LATX, 1),
    (spans((0x1E00, 0x1F00), (0x1A0, 0x1B1), (0x102, 0x104), (0x110, 0x112)), VIET, 1), (spans((0x300, 0x370)), OTHER, 5),
    (spans((0x80, 0xC0), (0xD7, 0xD8), (0xF7, 0xF8)), PUNCT, 5), (spans((0x370, 0x400), (0x1F00, 0x2000)), GREEK, 6),
    (spans((0x410, 0x430)), CYR, 7), ([ord(c) for c in "аеиоуыэюяё"], CYR, 7),
    ([c for c in range(0x430, 0x450) if chr(c) not in "аеиоуыэюя"], CYR, 7),
    (spans((0x400, 0x410), (0x450, 0x451), (0x452, 0x530)), CYR, 7), (spans((0x530, 0x590), (0x10A0, 0x1100)), OTHER, 8),
    (spans((0x590, 0x600)), RTL, 9), (spans((0x620, 0x64B)), RTL, 9),
    (spans((0x600, 0x620), (0x64B, 0x700), (0x750, 0x780), (0xFB50, 0xFE00), (0xFE70, 0xFF00)), RTL, 9),
    (spans((0x700, 0x750), (0x780, 0x900)), RTL, 9), (spans((0x900, 0x980)), INDIC, 10), (matras(0x900), INDIC, 10),
    (spans((0x980, 0xA00)), INDIC, 10), (matras(0x980), INDIC, 10), (spans((0xA00, 0xE00)), INDIC, 10),
    (matras(*range(0xA00, 0xE00, 0x80)), INDIC, 10), (spans((0xE00, 0xE80)), INDIC, 11), ([0xE00 + m for m in THAI], INDIC, 11),
    (spans((0xE80, 0x10A0), (0x1780, 0x1800)), INDIC, 11), (spans((0x1100, 0x1780), (0x1800, 0x1E00)), OTHER, 8),
    (spans((0x2000, 0x2070)), PUNCT, 5), (spans((0x2070, 0x2E80)), PUNCT, 5), (spans((0x3000, 0x3040), (0xFF00, 0xFFF0)), PUNCT, 5),
    (spans((0x3040, 0x30A0)), CJK, 12), (spans((0x30A0, 0x3100)), CJK, 12), (spans((0x3400, 0xA000), (0xF900, 0xFB00)), CJK, 13),
    (spans((0xAC00, 0xD7B0)), CJK, 14), (spans((0x2E80, 0x3000), (0x3100, 0x3400)), CJK, 13), (spans((0x1F000, 0x20000)), PUNCT, 5),
    (spans((0x10000, 0x1F000), (0x20000, TOP)), OTHER, 15),
]
for i, (chars, f, g) in enumerate(WIDE):
    wide[chars], first[chars], group[chars] = i, f, g
NARROW = ASCII * ASCII
CELLS = NARROW + len(WIDE) * COLUMNS
THREES, TWOS = 8192, 4096
ALL = CELLS + THREES + TWOS

def cells(cps):
    """The cell of the table each character falls into."""
    f, g = first[cps], np.where(cps < 128, -group[cps], group[cps])
    before, was = np.r_[31, f[:-1]], np.r_[-NEWLINE, g[:-1]]
    kind = np.abs(was)
    column = np.select([was == g, kind == SPACE, kind == LETTER, kind == MARK, kind >= 6], [1, 0, 2, 3, 4], 5)
    return np.where(cps < 128, before * ASCII + f, NARROW + wide[cps] * COLUMNS + column)

def hashed(cps):
    """The cell of its correction."""
    code = np.where(cps < 128, cps, STAND_IN + first[cps] - LATX)
    one, two = np.r_[10, cps[:-1]], np.r_[0, 10, code[:-2]][: len(cps)]
    last = (two << 14 | np.r_[10, code[:-1]] << 7 | code) << 11 & 0xFFFFFFFF
    at = lambda key, cells: (key * 0x9E3779B1 & 0xFFFFFFFF) * cells >> 32
    return CELLS + np.where(cps < 128, at(last, THREES), THREES + at(cps + (one << 15) & 0xFFFFFFFF, TWOS))

# --- the documents ------------------------------------------------------------------------------------------------------
def document(text, encoding, lengths):
    text = unicodedata.normalize("NFC", text)
    cps = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.int64)
    ids = encoding.encode(text, disallowed_special=())
    starts = np.r_[0, np.cumsum(lengths[ids])[:-1]]
    ends = np.cumsum(1 + (cps >= 0x80) + (cps >= 0x800) + (cps >= 0x10000))
    at = np.searchsorted(ends, starts, side="right")
    blank = np.isin(cps, [32, 9, 0xA0, 0x3000])
    after = np.minimum.accumulate(np.where(blank, len(cps) - 1, np.arange(len(cps)))[::-1])[::-1]
    return cells(cps), hashed(cps), np.bincount(after[at], minlength=len(cps)), len(ids)

MAIN = "en zh ja ko es fr de ru ar hi pt vi th tr id rust python javascript typescript c go json markdown".split()
NOISES = {"lower": "abcdefghijklmnopqrstuvwxyz", "upper": "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
NOISE = [*"base64 hex uuid csv log".split(), *NOISES]
WEIGHT = {"emoji": 0.3, "en": 6, "zh": 2, "json": 2, "python": 1.5, "markdown": 1.5, "runs": 0.3} | {k: 0.15 for k in NOISE}

def main(ranks, corpus, out, more=None):
    ranks = {base64.b64decode(a): int(b) for a, b in (l.split() for l in open(ranks, "rb") if l.strip())}
    lengths = np.zeros(len(ranks), np.int64)
    for token, rank in ranks.items():
        lengths[rank] = len(token)
    encoding = tiktoken.Encoding("qwen2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
    texts = [(p.split("/")[-2], open(p, newline="").read()) for p in sorted(glob.glob(f"{corpus}/*/*.txt"))]
    if more:
        texts += [(d["kind"], d["text"]) for d in map(json.loads, open(more))]
    texts += [(k, t.replace("\n", "\r\n")) for k, t in texts[::12]]
    texts += [("runs", c * 300) for c in ("\r\n", "\n\t", "\n  ", "ab", "  ,", "ha ", "1 ") for _ in range(4)]
    texts += [("runs", c * n) for c in map(chr, [9, 10, *range(32, 127)]) for n in (200, 900)]
    texts += [("runs", c * 300) for c in "éüñяенаоαενعاله的是一不了あいのーアンー한이다。，…😀🔥अनाไทก" for _ in range(2)]
    dice = random.Random(1)
    texts += [(k, "".join(dice.choices(letters, k=800))) for k, letters in NOISES.items() for _ in range(20)]
    docs = [(k, *document(t, encoding, lengths)) for k, t in texts if len(t.encode()) >= 150]
    count = {k: sum(d[0] == k for d in docs) for k in {d[0] for d in docs}}
    share = [WEIGHT.get(k, 1.0 if k in MAIN else 0.05) / count[k] for k, *_ in docs]
    # the means, thin cells leaning on the class alone
    tokens, seen = np.zeros(CELLS), np.zeros(CELLS)
    for (k, cell, _, begun, total), w in zip(docs, share):
        tokens += np.bincount(cell, begun, CELLS) * w / total
        seen += np.bincount(cell, minlength=CELLS) * w / total
    lean = 5e-4
    a, n = (x[:NARROW].reshape(ASCII, ASCII) for x in (tokens, seen))
    one = a.sum(0) / np.maximum(n.sum(0), 1e-9)
    b, m = (x[NARROW:].reshape(-1, COLUMNS) for x in (tokens, seen))
    size = np.array([2 if min(c) < 0x800 else 3 if min(c) < 0x10000 else 4 for c, *_ in WIDE])
    alone = (b.sum(1) + 3e-4 * 0.9 * size) / (m.sum(1) + 3e-4)
    mean = np.r_[((a + lean * one) / (n + lean)).ravel(), ((b + lean * alone[:, None]) / (m + lean)).ravel()]
    rest, seen = np.zeros(ALL), np.zeros(ALL)
    for (k, cell, at, begun, total), w in zip(docs, share):
        rest += np.bincount(at, begun - mean[cell], ALL) * w / total
        seen += np.bincount(at, minlength=ALL) * w / total
    mean = np.r_[mean, (rest / (seen + lean))[CELLS:]]
    # the regression
    rows = [np.unique(np.r_[d[1], d[2]], return_counts=True) for d in docs]
    A = sp.csr_matrix((np.concatenate([c / d[4] for (_, c), d in zip(rows, docs)]), np.concatenate([i for i, _ in rows]),
                       np.cumsum([0] + [len(i) for i, _ in rows])), shape=(len(docs), ALL))
    w = np.array(share) / sum(share)
    use = A.T @ w
    back = np.where(use > 0, 1 / np.sqrt(np.maximum(use, 1e-12)), 0)
    root = sp.diags(np.sqrt(w))
    fitted = mean + back * lsqr(root @ A @ sp.diags(back), np.sqrt(w) * (1 - A @ mean), damp=RIDGE**0.5, iter_lim=400)[0]
    scale = np.where((np.arange(ALL) < NARROW) | (np.arange(ALL) >= CELLS), SCALE, SCALE // 2)
    fitted = np.rint(fitted * scale)
    fitted = np.r_[np.clip(fitted[:CELLS], 0, 255), np.clip(fitted[CELLS:], -128, 127)]
    open(out, "wb").write(fitted[:CELLS].astype(np.uint8).tobytes() + fitted[CELLS:].astype(np.int8).tobytes())
    return fitted / scale

if __name__ == "__main__":
    main(*sys.argv[1:])
