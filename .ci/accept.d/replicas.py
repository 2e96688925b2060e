"""Load on replicas of a gateway, and what became of it. For the study server_replicas of .ci/accept.

replicas.py load SECONDS URL...           calls of all callers at all replicas at one time, more than the quotas allow; prints
                                          what became of them. A line "down N" on standard input says that the replica N is
                                          about to be killed, "up N" that it answers again.
replicas.py count LIMITS INSTANT LEDGER.. the most that each caller got in any minute and in all, by the lines of all ledgers; the
                                          same of the calls that began before the instant
"""
import collections
import datetime
import http.client
import json
import sys
import threading
import time
import urllib.parse

MINUTE = 60.0
CALLERS = ["requests", "tokens", "budget", "quiet"]
# Beside the callers that press, one that is far below its quota: it is rejected never.
WORKERS = {"requests": 3, "tokens": 3, "budget": 2, "quiet": 1}
PAUSE = {"requests": 0.1, "tokens": 0.1, "budget": 0.2, "quiet": 2.0}


class Load:
    def __init__(self, urls, seconds):
        self.urls = [urllib.parse.urlsplit(url) for url in urls]
        self.end = time.monotonic() + seconds
        self.lock = threading.Lock()
        self.outcomes = collections.Counter()
        self.without_wait = 0
        self.readiness = collections.Counter()
        self.down = set()
        # How often each replica went down: a connection of the time before is dead, and its caller may find out late.
        self.downs = collections.Counter()
        # Calls under way, by replica, and those of them that a kill cut.
        self.under_way = collections.Counter()
        self.cut = 0

    def call(self, caller, stream, connection):
        body = json.dumps({
            "model": "qwen-plus",
            "stream": stream,
            "max_tokens": 40,
            "messages": [{"role": "user", "content": "Which rivers flow into the North Sea? Name the longest ten."}],
        })
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {connection.host}\r\nauthorization: Bearer sk-{caller}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        # Both at once: a rejected call is answered before its body is read, and what is sent after that finds a closed socket.
        connection.sock.sendall((head + body).encode())
        answer = http.client.HTTPResponse(connection.sock, method="POST")
        answer.begin()
        text = answer.read()
        if answer.will_close:
            connection.close()
        if answer.status == 429 and not (answer.getheader("retry-after") or "").isdigit():
            with self.lock:
                self.without_wait += 1
        if answer.status == 200 and stream and b"data: [DONE]" not in text:
            raise http.client.IncompleteRead(text)
        return answer.status

    def work(self, number, caller, is_odd):
        connection = None
        while time.monotonic() < self.end:
            if connection is None:
                url = self.urls[number]
                connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
            is_sent = False
            try:
                if connection.sock is None:
                    with self.lock:
                        downs = self.downs[number]
                    connection.connect()
                with self.lock:
                    self.under_way[number] += 1
                is_sent = True
                outcome = str(self.call(caller, is_odd, connection))
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                connection = None
                with self.lock:
                    is_down = number in self.down or downs != self.downs[number]
                    # The provider may have answered these, and no ledger says so.
                    self.cut += is_sent and is_down
                outcome = ("cut" if is_sent else "not connected") if is_down else f"broken: {error!r}"
            with self.lock:
                self.under_way[number] -= is_sent
                self.outcomes[f"{caller} {outcome}"] += 1
            time.sleep(PAUSE[caller])

    def watch(self, number):
        while time.monotonic() < self.end:
            url = self.urls[number]
            connection = http.client.HTTPConnection(url.hostname, url.port, timeout=5)
            try:
                connection.request("GET", "/readyz")
                answer = connection.getresponse()
                said = f"{answer.status} {answer.read().decode()}"
            except (OSError, http.client.HTTPException):
                said = "away"
            connection.close()
            with self.lock:
                if said != "away" or number not in self.down:
                    self.readiness[said] += 1
            time.sleep(0.2)

    def obey(self):
        for line in sys.stdin:
            word, number = line.split()
            with self.lock:
                (self.down.add if word == "down" else self.down.discard)(int(number))
                self.downs[int(number)] += word == "down"

    def run(self):
        threading.Thread(target=self.obey, daemon=True).start()
        threads = [threading.Thread(target=self.watch, args=[number]) for number in range(len(self.urls))]
        for number in range(len(self.urls)):
            for caller in CALLERS:
                for worker in range(WORKERS[caller]):
                    threads.append(threading.Thread(target=self.work, args=[number, caller, worker % 2 == 1]))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        statuses = collections.Counter()
        for key, calls in self.outcomes.items():
            statuses[key.split(" ", 1)[1]] += calls
        print(json.dumps({
            "outcomes": dict(sorted(self.outcomes.items())),
            "served": statuses["200"],
            "rejected": statuses["429"],
            "rejected_without_wait": self.without_wait,
            "quiet_rejected": self.outcomes["quiet 429"],
            "store_away": statuses["503"],
            "otherwise": sum(n for what, n in statuses.items() if what not in ("200", "429", "503", "cut", "not connected")),
            "cut": self.cut,
            "readiness": dict(self.readiness),
            "not_ready": sum(n for said, n in self.readiness.items() if not said.startswith("200")),
        }))


def highest(calls, weight):
    """The most in any window of a minute that is open at one end."""
    most = total = first = 0
    for at, tokens in calls:
        total += weight(tokens)
        while calls[first][0] <= at - MINUTE:
            total -= weight(calls[first][1])
            first += 1
        most = max(most, total)
    return most


def count(limits, instant, ledgers):
    calls = collections.defaultdict(list)
    lines = tokens = largest = torn = 0
    for ledger in ledgers:
        for line in open(ledger, encoding="utf-8"):
            try:
                record = json.loads(line)
            except ValueError:
                torn += 1
                continue
            if record["basis"] == "not_sent":
                continue
            ended = datetime.datetime.fromisoformat(record["at"].replace("Z", "+00:00")).timestamp()
            used = (record.get("input_tokens") or 0) + (record.get("output_tokens") or 0)
            # A call takes its part when it begins.
            calls[record["tenant"]].append((ended - record["duration_ms"] / 1000, used))
            lines, tokens, largest = lines + 1, tokens + used, max(largest, used)
    print(json.dumps({
        "calls": lines,
        "tokens": tokens,
        "largest_call": largest,
        "torn_lines": torn,
        "highest": shares(limits, calls, float("inf")),
        "highest_before": shares(limits, calls, instant),
    }))


def shares(limits, calls, end):
    """What callers got at most of their limits, of calls that began before an instant."""
    found = {}
    for caller, limit in limits.items():
        own = sorted(call for call in calls[caller] if call[0] < end)
        got = {
            "requests": highest(own, lambda _: 1),
            "tokens": highest(own, lambda tokens: tokens),
            "day": sum(tokens for _, tokens in own),
        }
        for unit, most in limit.items():
            found[unit] = max(found.get(unit, 0), round(got[unit] / most, 3))
    return found


if sys.argv[1] == "load":
    Load(sys.argv[3:], float(sys.argv[2])).run()
else:
    count(json.loads(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
