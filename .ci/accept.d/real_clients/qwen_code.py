"""Qwen Code without a screen: `qwen -p`, each run a process with a home of its own."""

import base64
import json
import os
import pathlib
import subprocess
import tempfile

from rows import *

QWEN = sys.argv[4:]
home = pathlib.Path(tempfile.mkdtemp(dir=os.environ["WORK"]))
place = home / "place"
place.mkdir()
(place / "river.png").write_bytes(base64.b64decode(IMAGE))
# Without what it does by itself beside the prompt: each would be a call more.
settings = {
    "memory": {"enableManagedAutoMemory": False, "enableManagedAutoDream": False, "enableAutoSkill": False},
    "general": {"enableAutoUpdate": False},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "security": {"auth": {"selectedType": "openai"}},
}
(home / ".qwen").mkdir()
(home / ".qwen" / "settings.json").write_text(json.dumps(settings))


def run(*options, prompt=QUESTION, url=gateway, api_key=key, model="qwen-plus", stdin=""):
    """What the program writes in JSON, and its exit code."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "OPENAI_API_KEY": api_key,
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_MODEL": model,
    }
    command = [*QWEN, "-p", prompt, "--output-format", "stream-json", "--yolo", *options]
    done = subprocess.run(command, cwd=place, env=environment, input=stdin, capture_output=True, text=True, timeout=120)
    lines = []
    for line in done.stdout.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            pass
    return lines, done.returncode, done.stderr


def result(run):
    lines, code, stderr = run
    found = [line for line in lines if line.get("type") == "result"]
    assert code == 0 and found and not found[-1]["is_error"], (code, stderr[-300:], lines[-1:])
    return found[-1]


def blocks(lines, kind):
    contents = [line["message"]["content"] for line in lines if line.get("type") in ("assistant", "user")]
    return [block for content in contents if isinstance(content, list) for block in content if block["type"] == kind]


def whole():
    answer = result(run())
    assert answer["result"] and answer["usage"]["output_tokens"] > 0, answer


def streamed():
    done = run("--include-partial-messages")
    deltas = [line for line in done[0] if line.get("type") == "stream_event"]
    assert result(done)["result"] and len(deltas) > 5, len(deltas)


def tool():
    """A call, its result, and an answer after it."""
    done = run(prompt="Call glob.")
    assert result(done)["result"]
    (use,), (answered,) = blocks(done[0], "tool_use"), blocks(done[0], "tool_result")
    assert use["name"] == "glob", use
    return f"then a result, then an answer: {result(done)['num_turns']} turns"


def image():
    log = home / "log"
    options = ["--openai-logging", "--openai-logging-dir", str(log)]
    assert result(run(*options, prompt=f"@river.png {QUESTION}", model="qwen3-vl-plus"))["result"]
    # It leaves a picture out where it takes a model for one without eyes.
    assert any("data:image/png" in file.read_text() for file in log.iterdir()), "no picture"


def failed(run, status):
    lines, code, stderr = run
    said = stderr + json.dumps(lines[-1:])
    assert code != 0 and str(status) in said, (code, said[-300:])
    return f"exit code {code}, names {status}"


row("whole", whole)
row("streamed", streamed)
row("tool call streamed", tool)
row("image", image)
row("too long", lambda: failed(run(stdin=TOO_LONG), 400))
row("quota, retried", lambda: (result(run(url=limited)), waits(lambda: result(run(url=limited))))[1])
row("wrong key", lambda: failed(run(api_key=WRONG_KEY), 401))
