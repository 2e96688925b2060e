"""Streams without an end, and readers that take nothing of them. For the studies of .ci/accept.

readers.py upstream              answers each call with a stream that goes on until its reader leaves; prints its address
readers.py read URL KEY COUNT    so many calls, of which each reads the head of its answer and then nothing; prints how many
                                 heads are of status 200, and holds the connections until standard input ends
"""
import asyncio
import json
import socket
import sys
import urllib.parse

EVENT = b"data: " + json.dumps({
    "id": "chatcmpl-study",
    "object": "chat.completion.chunk",
    "created": 1796000000,
    "model": "qwen-plus",
    "choices": [{"index": 0, "delta": {"content": "The river rises in the hills. "}, "finish_reason": None}],
}).encode() + b"\n\n"
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


async def stream(reader, writer):
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        # The gateway closes the connection when its caller has left.
        while True:
            writer.write(CHUNK * 16)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def upstream():
    server = await asyncio.start_server(stream, "127.0.0.1", 0, backlog=4096)
    print("listening on http://%s:%d" % server.sockets[0].getsockname(), flush=True)
    await server.serve_forever()


def read(url, key, count):
    url = urllib.parse.urlsplit(url)
    body = json.dumps({
        "model": "qwen-plus",
        "stream": True,
        "messages": [{"role": "user", "content": "Tell me of rivers."}],
    })
    request = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {url.netloc}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    ).encode()
    readers = []
    for _ in range(count):
        reader = socket.socket()
        # A small window, so that the answer waits in the gateway and not in the system's buffers.
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.settimeout(120)
        reader.connect((url.hostname, url.port))
        reader.sendall(request)
        readers.append(reader)
    heads = 0
    for reader in readers:
        heads += reader.recv(16).startswith(b"HTTP/1.1 200")
    print(heads, flush=True)
    sys.stdin.read()


if sys.argv[1] == "upstream":
    asyncio.run(upstream())
else:
    read(sys.argv[2], sys.argv[3], int(sys.argv[4]))
