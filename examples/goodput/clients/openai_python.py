"""Calls of openai-python with ten retries. Jobs come on stdin, one JSON object a line; what came of each goes to stdout."""

import asyncio
import json
import sys
import time

from openai import AsyncOpenAI

RETRIES = 10


class Jobs:
    def __init__(self):
        # Two threads must not read one stream.
        self.lock = asyncio.Lock()

    async def next(self):
        async with self.lock:
            return await asyncio.to_thread(sys.stdin.readline)


async def work(client, jobs):
    while line := await jobs.next():
        job = json.loads(line)
        begun = time.monotonic()
        try:
            await client.chat.completions.create(
                model="qwen-plus",
                messages=[{"role": "user", "content": job["prompt"]}],
                max_tokens=job["max_tokens"],
                extra_headers={"x-study-job": job["header"]},
            )
        except Exception:
            print("failed", flush=True)
        else:
            print("done", time.monotonic() - begun - job["needed"], flush=True)


async def main(base_url, callers):
    client = AsyncOpenAI(base_url=base_url, api_key="sk-study", max_retries=RETRIES)
    jobs = Jobs()
    await asyncio.gather(*(work(client, jobs) for _ in range(callers)))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
