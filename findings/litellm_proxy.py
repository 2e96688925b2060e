"""LiteLLM's proxy before an upstream, for the scripts beside this file: no key of the machine's, no file outside of the folder."""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request


@contextlib.contextmanager
def proxy(folder, upstream):
    """Gives a function that posts a body to a path and returns the status and the text."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = "sk-" + secrets.token_hex(24)
    model = {"model_name": "qwen-plus", "litellm_params": {"model": "openai/qwen-plus", "api_base": f"{upstream}/v1", "api_key": "none"}}
    with open(f"{folder}/config.yaml", "w") as file:
        json.dump({"model_list": [model]}, file)  # JSON is YAML.
    environment = {"PATH": os.environ["PATH"], "HOME": folder, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key}
    command = [f"{folder}/venv/bin/litellm", "--config", f"{folder}/config.yaml", "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    with open(f"{folder}/log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"

    def post(path, body):
        headers = {"content-type": "application/json", "authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"}
        request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    try:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}/health/liveliness", timeout=2)
                break
            if process.poll() is not None:
                sys.exit(open(f"{folder}/log").read()[-2000:])
            time.sleep(0.3)
        yield post
    finally:
        process.terminate()
        process.wait()
