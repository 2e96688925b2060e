"""What all clients are asked, and the lines that say how it went: name of the row, `ok` or `wrong`, what was seen."""

import base64
import struct
import sys
import time
import zlib

# A gateway without limits, one that lets a caller make one call in a window, and the caller's key.
gateway, limited, key = sys.argv[1:4]
WRONG_KEY = "sk-nobody"
QUESTION = "How deep is the river?"
# The mock takes prompts of 60,000 tokens, and each word is one.
TOO_LONG = "river " * 61_000
SCHEMA = {"type": "object", "properties": {"river": {"type": "string"}}, "required": ["river"]}
FUNCTION = {"name": "depth", "description": "The depth of a river.", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
TOOL_CHOICE = {"type": "function", "function": {"name": "depth"}}
# What the mock makes of the schema.
ARGUMENTS = {"river": "river"}


def png():
    """A grey picture of 64 pixels each way, base64."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    data = zlib.compress((b"\0" + b"\x80" * 64) * 64)
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return base64.b64encode(whole).decode()


IMAGE = png()
IMAGE_URL = f"data:image/png;base64,{IMAGE}"


def row(name, act):
    """One row: `act` gives what is worth seeing, or fails."""
    try:
        print(name, "ok", act() or "", sep="\t", flush=True)
    except Exception as error:  # Any: a client must not hide the rows behind it.
        text = " ".join(f"{type(error).__name__}: {error}".split())
        print(name, "wrong", text[:300], sep="\t", flush=True)


def fails(act, kind):
    """The error of a call that has to fail with this type."""
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def waits(act):
    """How long a call took that its client has to make twice: Retry-After is in whole seconds."""
    begin = time.monotonic()
    act()
    took = time.monotonic() - begin
    assert took >= 0.9, f"it took {took:.1f} s"
    return f"waits {took:.1f} s, then an answer"
