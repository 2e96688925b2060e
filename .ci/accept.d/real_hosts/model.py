"""Writes a Qwen3 of two layers with random weights as GGUF. Argument: the file.

What it says is noise: what the study asks of it is a server that counts its tokens. The format is simple enough to be
written without the `gguf` package: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import array
import random
import struct
import sys

# Small, so that a call takes milliseconds. The quotients are what the architecture asks for: the width is divided among
# the heads, and the heads of keys and values are shared.
WIDTH, HEAD, HEADS, KV_HEADS, INNER, LAYERS = 64, 16, 4, 2, 128, 2
CONTEXT = 4096  # More than any server of the study is started with.
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
END, IM_END = 0, 2  # Of the special tokens.
MERGES = ["t h", "th e", "i n", "e r", "o n", "a n", "r i", "v er", "ri ver", "o f", "e l", "el l", "Ġ t", "Ġ a", "Ġ o", "Ġo f"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
UINT32, FLOAT32, STRING, ARRAY, INT32 = 4, 6, 8, 9, 5
NORMAL, CONTROL = 1, 3  # Types of tokens.
ALIGNMENT = 32


def byte_letters():
    """The letter that a byte-level vocabulary has for each byte: its own where it is printable, else one above 255."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in printable)
    return [chr(byte) for byte in printable] + [chr(256 + at) for at, _ in enumerate(others)]


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key, kind, value):
    return text(key) + struct.pack("<I", kind) + value


def number(key, value):
    return entry(key, UINT32, struct.pack("<I", value))


def real(key, value):
    return entry(key, FLOAT32, struct.pack("<f", value))


def words(key, value):
    return entry(key, STRING, text(value))


def listing(key, kind, values):
    return entry(key, ARRAY, struct.pack("<IQ", kind, len(values)) + b"".join(values))


def tensors(vocabulary):
    """Names and shapes, the fastest dimension first."""
    yield "token_embd.weight", (WIDTH, vocabulary)
    yield "output_norm.weight", (WIDTH,)
    yield "output.weight", (WIDTH, vocabulary)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        for name, shape in [
            ("attn_norm", (WIDTH,)),
            ("attn_q", (WIDTH, HEAD * HEADS)),
            ("attn_k", (WIDTH, HEAD * KV_HEADS)),
            ("attn_v", (WIDTH, HEAD * KV_HEADS)),
            ("attn_q_norm", (HEAD,)),
            ("attn_k_norm", (HEAD,)),
            ("attn_output", (HEAD * HEADS, WIDTH)),
            ("ffn_norm", (WIDTH,)),
            ("ffn_gate", (WIDTH, INNER)),
            ("ffn_up", (WIDTH, INNER)),
            ("ffn_down", (INNER, WIDTH)),
        ]:
            yield f"{block}{name}.weight", shape


def weights(name, shape):
    count = shape[0] * (shape[1] if len(shape) > 1 else 1)
    if "norm" in name:
        return array.array("f", [1.0] * count)
    return array.array("f", (random.gauss(0, 0.1) for _ in range(count)))


def main():
    random.seed(1)
    merged = [merge.replace(" ", "") for merge in MERGES]
    tokens = SPECIAL + byte_letters() + merged
    kinds = [CONTROL] * 3 + [NORMAL] * (len(tokens) - 3)
    metadata = [
        words("general.architecture", "qwen3"),
        words("general.name", "random"),
        number("qwen3.block_count", LAYERS),
        number("qwen3.context_length", CONTEXT),
        number("qwen3.embedding_length", WIDTH),
        number("qwen3.feed_forward_length", INNER),
        number("qwen3.attention.head_count", HEADS),
        number("qwen3.attention.head_count_kv", KV_HEADS),
        number("qwen3.attention.key_length", HEAD),
        number("qwen3.attention.value_length", HEAD),
        real("qwen3.attention.layer_norm_rms_epsilon", 1e-6),
        real("qwen3.rope.freq_base", 1e6),
        words("tokenizer.ggml.model", "gpt2"),
        words("tokenizer.ggml.pre", "qwen2"),
        listing("tokenizer.ggml.tokens", STRING, [text(token) for token in tokens]),
        listing("tokenizer.ggml.token_type", INT32, [struct.pack("<i", kind) for kind in kinds]),
        listing("tokenizer.ggml.merges", STRING, [text(merge) for merge in MERGES]),
        number("tokenizer.ggml.eos_token_id", IM_END),
        number("tokenizer.ggml.padding_token_id", END),
        words("tokenizer.chat_template", TEMPLATE),
    ]
    infos, data = [], bytearray()
    for name, shape in tensors(len(tokens)):
        sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        infos.append(text(name) + sizes + struct.pack("<IQ", 0, len(data)))
        data += weights(name, shape).tobytes()
        data += bytes(-len(data) % ALIGNMENT)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(metadata)) + b"".join(metadata) + b"".join(infos)
    with open(sys.argv[1], "wb") as file:
        file.write(head + bytes(-len(head) % ALIGNMENT) + data)


main()
