"""Calls of several servers in turns, for the study server_peers.

calls.py same KIND NAME=URL=HEADERS...            whether all give the first one's answer: its text and what was counted
calls.py paired KIND ROUNDS NAME=URL=HEADERS...   what each adds to the first one, the model itself: a line for each, with the
                                                  median of the differences within a round and the difference of the p99s, in us

KIND is whole or stream; HEADERS is a file with a header a line. In a round each server is called once, one at a time and in a
new order, so that what slows the machine slows all of them alike.
"""
import http.client
import json
import random
import statistics
import sys
import time
import urllib.parse

WARM_ROUNDS = 50


class Server:
    """A server on one kept connection."""

    def __init__(self, text):
        self.name, url, headers = text.split("=", 2)
        url = urllib.parse.urlsplit(url)
        self.path = url.path
        self.connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        self.headers = {"content-type": "application/json", "authorization": "Bearer sk-study"}
        with open(headers) as lines:
            self.headers.update(line.rstrip("\n").split(": ", 1) for line in lines if line.strip())

    def call(self, body):
        self.connection.request("POST", self.path, body, self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"FAILED: {self.name} answers {answer.status}: {text[:300]}")
        return text


def body_of(kind):
    messages = [{"role": "user", "content": "Which rivers of Europe flow into the North Sea?"}]
    body = {"model": "qwen-plus", "messages": messages}
    if kind == "stream":
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body).encode()


def meaning(kind, answer):
    """The text of an answer, why it ended, and the tokens that were counted."""
    if kind == "whole":
        answer = json.loads(answer)
        choice = answer["choices"][0]
        text, reason, usage = choice["message"]["content"], choice["finish_reason"], answer["usage"]
    else:
        lines = [line[6:] for line in answer.decode().split("\n") if line.startswith("data: ")]
        if lines.pop() != "[DONE]":
            sys.exit("FAILED: a stream has no end")
        events = [json.loads(line) for line in lines]
        choices = [choice for event in events for choice in event["choices"]]
        text = "".join(choice["delta"].get("content") or "" for choice in choices)
        reason = next(choice["finish_reason"] for choice in choices if choice.get("finish_reason"))
        usage = next(event["usage"] for event in events if event.get("usage"))
    return text, reason, usage["prompt_tokens"], usage["completion_tokens"]


def same(kind, servers):
    body = body_of(kind)
    first, *others = servers
    expected = meaning(kind, first.call(body))
    for server in others:
        seen = meaning(kind, server.call(body))
        if seen != expected:
            sys.exit(f"FAILED: {server.name} answers {seen} in place of {expected}")
    print(f"ok: {kind}: {', '.join(server.name for server in others)} give the answer of {first.name}: {expected[3]} tokens")


def p99(values):
    return statistics.quantiles(values, n=100)[98]


def paired(kind, rounds, servers):
    body = body_of(kind)
    chance = random.Random(1)
    taken = {server.name: [] for server in servers}
    for at in range(WARM_ROUNDS + rounds):
        for server in chance.sample(servers, len(servers)):
            start = time.perf_counter_ns()
            server.call(body)
            if at >= WARM_ROUNDS:
                taken[server.name].append((time.perf_counter_ns() - start) / 1000)
    direct = taken[servers[0].name]
    for server in servers[1:]:
        own = taken[server.name]
        added = statistics.median(one - other for one, other in zip(own, direct))
        print(f"{server.name} {added:.0f} {p99(own) - p99(direct):.0f}")


if __name__ == "__main__":
    if sys.argv[1] == "same":
        same(sys.argv[2], [Server(text) for text in sys.argv[3:]])
    else:
        paired(sys.argv[2], int(sys.argv[3]), [Server(text) for text in sys.argv[4:]])
