"""A model server that answers as it is told, for the scripts beside this file. It notes each request."""

import http.server
import json
import threading
import time


class Upstream:
    """Each answer is a function of the handler and the body; they are used in turn, the last one for all that follow."""

    def __init__(self, *answers):
        self.requests = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.requests.append((time.monotonic(), self.path, body))
                answers[min(len(outer.requests), len(answers)) - 1](self, body)

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"


def whole(status, body, **headers):
    def answer(handler, _):
        data = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(data)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def events(*lines):
    """A stream: an event for each, as `data:` where it is JSON, as it is where it is text."""

    def answer(handler, _):
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        for line in lines:
            data = (line if isinstance(line, str) else f"data: {json.dumps(line)}").encode() + b"\n\n"
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        handler.wfile.write(b"0\r\n\r\n")

    return answer


def usage(prompt, output):
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


def completion(reason="stop", **others):
    message = {"role": "assistant", "content": "a river"}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "qwen-plus", "choices": [choice], **others}


def chunk(text=None, reason=None, **others):
    delta = {"role": "assistant", "content": text} if text else {}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "qwen-plus", "choices": [choice], **others}


def throttled(**headers):
    error = {"message": "Requests rate limit exceeded", "type": "limit_requests", "code": "limit_requests"}
    return whole(429, {"error": error}, **headers)


def verdict(seen, stated):
    """Prints both; the exit status says whether they are equal."""
    print("seen:  ", seen)
    print("stated:", stated)
    raise SystemExit(seen != stated)
