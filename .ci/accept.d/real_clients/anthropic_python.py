"""Anthropic's official client for Python."""

import anthropic

from rows import *

TOOL = {"name": "depth", "description": FUNCTION["description"], "input_schema": SCHEMA}
CHOICE = {"type": "tool", "name": "depth"}


def client(url=gateway, api_key=key, **options):
    return anthropic.Anthropic(base_url=f"{url}/apps/anthropic", api_key=api_key, **options)


def asked(content=QUESTION, model="qwen-plus", **more):
    return {"model": model, "max_tokens": 300, "messages": [{"role": "user", "content": content}], **more}


def ask(client, *content, **more):
    return client.messages.create(**asked(*content, **more))


def whole():
    answer = ask(client())
    assert answer.content[0].text and answer.usage.output_tokens > 0, answer


def final(**more):
    with client().messages.stream(**asked(**more)) as stream:
        return stream.get_final_message()


def streamed():
    answer = final()
    assert answer.content[0].text and answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, answer


def called(answer):
    block = answer.content[0]
    assert answer.stop_reason == "tool_use" and block.name == "depth" and block.input == ARGUMENTS, answer


def image():
    source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
    parts = [{"type": "image", "source": source}, {"type": "text", "text": QUESTION}]
    assert ask(client(), parts, "qwen3-vl-plus").content[0].text


def too_long():
    error = fails(lambda: ask(client(), TOO_LONG), anthropic.BadRequestError)
    return f"BadRequestError {error.body['error']['type']}"


def quota():
    one = client(limited, max_retries=0)
    ask(one)
    error = fails(lambda: ask(one), anthropic.RateLimitError)
    return f"RateLimitError {error.body['error']['type']}, Retry-After {error.response.headers['retry-after']}"


def wrong_key():
    error = fails(lambda: ask(client(api_key=WRONG_KEY)), anthropic.AuthenticationError)
    return f"AuthenticationError {error.body['error']['type']}"


row("whole", whole)
row("streamed", streamed)
row("tool call", lambda: called(ask(client(), tools=[TOOL], tool_choice=CHOICE)))
row("tool call streamed", lambda: called(final(tools=[TOOL], tool_choice=CHOICE)))
row("image", image)
row("too long", too_long)
row("quota", quota)
row("quota, retried", lambda: waits(lambda: ask(client(limited))))
row("wrong key", wrong_key)
