"""Portkey's gateway, for the scripts beside this file: a folder of its own, and nothing of the machine's environment."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request


@contextlib.contextmanager
def gateway(folder):
    """Gives a function that posts a chat with a config of Portkey's and returns the status and the text."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["node", f"{folder}/node_modules/@portkey-ai/gateway/build/start-server.js", f"--port={port}", "--headless"]
    environment = {"PATH": os.environ["PATH"], "HOME": folder, "NODE_ENV": "production"}
    with open(f"{folder}/log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"

    def post(config, body):
        headers = {"content-type": "application/json", "authorization": "Bearer none", "x-portkey-config": json.dumps(config)}
        request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    try:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(url, timeout=2)
                break
            if process.poll() is not None:
                sys.exit(open(f"{folder}/log").read()[-2000:])
            time.sleep(0.2)
        yield post
    finally:
        process.terminate()
        process.wait()
