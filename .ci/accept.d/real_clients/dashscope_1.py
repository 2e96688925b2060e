"""The functions of dashscope 1, which dashscope 2 still has. They raise no error: an answer has a status and a code."""

import json

import dashscope

from rows import *

dashscope.base_http_api_url = f"{gateway}/api/v1"


def ask(content=QUESTION, url=gateway, api_key=key, **more):
    messages = [{"role": "user", "content": content}]
    kind, model = (dashscope.Generation, "qwen-plus") if isinstance(content, str) else (dashscope.MultiModalConversation, "qwen3-vl-plus")
    more.setdefault("result_format", "message")
    return kind.call(model=model, messages=messages, api_key=api_key, base_address=f"{url}/api/v1", **more)


def message(answer):
    assert answer.status_code == 200, answer
    return answer.output.choices[0].message


def whole():
    answer = ask()
    assert message(answer).content and answer.usage.output_tokens > 0, answer


def streamed():
    text, usage = "", None
    for answer in ask(stream=True, incremental_output=True):
        text += message(answer).content
        usage = answer.usage
    last = list(ask(stream=True))[-1]
    assert text and message(last).content == text and usage.output_tokens == last.usage.output_tokens, (text, last)


def called(answer):
    function = message(answer).tool_calls[0]["function"]
    assert function["name"] == "depth" and json.loads(function["arguments"]) == ARGUMENTS, function


def image():
    assert message(ask([{"image": IMAGE_URL}, {"text": QUESTION}])).content[0]["text"]


def status(answer, expected):
    assert answer.status_code == expected, answer
    return f"{answer.status_code} {answer.code}"


def quota():
    message(ask(url=limited))
    return status(ask(url=limited), 429)


row("whole", whole)
row("streamed", streamed)
row("tool call", lambda: called(ask(tools=[TOOL], tool_choice=TOOL_CHOICE)))
row("tool call streamed", lambda: called(list(ask(tools=[TOOL], tool_choice=TOOL_CHOICE, stream=True))[-1]))
row("image", image)
row("too long", lambda: status(ask(TOO_LONG), 400))
row("quota", quota)
row("wrong key", lambda: status(ask(api_key=WRONG_KEY), 401))
