"""The official client of OpenAI for Python."""

import json

import openai

from rows import *


def client(url=gateway, api_key=key, **options):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=api_key, **options)


def ask(client, content=QUESTION, model="qwen-plus", **more):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}], **more)


def whole():
    answer = ask(client())
    assert answer.choices[0].message.content and answer.usage.total_tokens > 0, answer


def streamed():
    text, usage = "", None
    for chunk in ask(client(), stream=True, stream_options={"include_usage": True}):
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        usage = chunk.usage or usage
    assert text and usage.total_tokens > 0, usage


def called(function):
    assert function.name == "depth" and json.loads(function.arguments) == ARGUMENTS, function


def tool():
    answer = ask(client(), tools=[TOOL], tool_choice="required").choices[0]
    assert answer.finish_reason == "tool_calls", answer
    called(answer.message.tool_calls[0].function)


def tool_streamed():
    asked = {"model": "qwen-plus", "messages": [{"role": "user", "content": QUESTION}], "tools": [TOOL], "tool_choice": TOOL_CHOICE}
    with client().chat.completions.stream(**asked) as stream:
        answer = stream.get_final_completion().choices[0]
    called(answer.message.tool_calls[0].function)


def image():
    parts = [{"type": "image_url", "image_url": {"url": IMAGE_URL}}, {"type": "text", "text": QUESTION}]
    assert ask(client(), parts, "qwen3-vl-plus").choices[0].message.content


def too_long():
    error = fails(lambda: ask(client(), TOO_LONG), openai.BadRequestError)
    return f"BadRequestError {error.code}"


def quota():
    one = client(limited, max_retries=0)
    ask(one)
    error = fails(lambda: ask(one), openai.RateLimitError)
    return f"RateLimitError {error.code}, Retry-After {error.response.headers['retry-after']}"


def wrong_key():
    error = fails(lambda: ask(client(api_key=WRONG_KEY)), openai.AuthenticationError)
    return f"AuthenticationError {error.code}"


row("whole", whole)
row("streamed", streamed)
row("tool call", tool)
row("tool call streamed", tool_streamed)
row("image", image)
row("too long", too_long)
row("quota", quota)
row("quota, retried", lambda: waits(lambda: ask(client(limited))))
row("wrong key", wrong_key)
