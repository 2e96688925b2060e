"""The client of dashscope 2, with DashScope's own API."""

import json

import dashscope
from dashscope.v2 import errors

from rows import *


def client(url=gateway, api_key=key, **options):
    return dashscope.Client(base_url=f"{url}/api/v1", api_key=api_key, **options)


def ask(client, content=QUESTION, model="qwen-plus", **more):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}], **more)


def whole():
    answer = ask(client())
    assert answer.choices[0].message.content and answer.usage.output_tokens > 0, answer


def streamed():
    answer = ask(client(), stream=True).get_final_message()
    assert answer.choices[0].message.content and answer.usage.output_tokens > 0, answer


def called(answer):
    function = answer.choices[0].message.tool_calls[0].function
    assert function.name == "depth" and json.loads(function.arguments) == ARGUMENTS, function


def image():
    parts = [{"type": "image", "url": IMAGE_URL}, {"type": "text", "text": QUESTION}]
    assert ask(client(), parts, "qwen3-vl-plus").choices[0].message.content


def too_long():
    error = fails(lambda: ask(client(), TOO_LONG), errors.BadRequestError)
    return f"BadRequestError {error.code}"


def quota():
    one = client(limited, max_retries=0)
    ask(one)
    error = fails(lambda: ask(one), errors.RateLimitError)
    return f"RateLimitError {error.code}, Retry-After {error.headers['retry-after']}"


def wrong_key():
    error = fails(lambda: ask(client(api_key=WRONG_KEY)), errors.AuthenticationError)
    return f"AuthenticationError {error.code}"


row("whole", whole)
row("streamed", streamed)
row("tool call", lambda: called(ask(client(), tools=[TOOL], tool_choice=TOOL_CHOICE)))
row("tool call streamed", lambda: called(ask(client(), tools=[TOOL], tool_choice=TOOL_CHOICE, stream=True).get_final_message()))
row("image", image)
row("too long", too_long)
row("quota", quota)
row("quota, retried", lambda: waits(lambda: ask(client(limited))))
row("wrong key", wrong_key)
