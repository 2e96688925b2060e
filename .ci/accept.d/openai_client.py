"""The official client against the gateway: whole, in a stream, and refused. Arguments: base URL, key of four calls."""

import sys

import openai

base_url, key = sys.argv[1:]
client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0)
call = {"model": "qwen-plus", "messages": [{"role": "user", "content": "Tell me of rivers."}]}

whole = client.chat.completions.create(**call)
assert whole.choices[0].message.content, whole
assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

text, usage = "", None
for chunk in client.chat.completions.create(**call, stream=True, stream_options={"include_usage": True}):
    text += "".join(choice.delta.content or "" for choice in chunk.choices)
    usage = chunk.usage or usage
assert text == whole.choices[0].message.content, text
assert usage.total_tokens == whole.usage.total_tokens, usage

text = ""
for chunk in client.chat.completions.create(**call, stream=True):
    assert chunk.choices and chunk.usage is None, chunk
    text += chunk.choices[0].delta.content or ""
assert text == whole.choices[0].message.content, text

raw = client.chat.completions.with_raw_response.create(**call)
assert raw.headers["x-ratelimit-remaining-requests"] == "0", raw.headers
assert raw.parse().usage.total_tokens == whole.usage.total_tokens

try:
    client.chat.completions.create(**call)
    sys.exit("the fifth call was let in")
except openai.RateLimitError as error:
    assert error.status_code == 429
    assert error.code == "limit_requests", error.code
    assert 1 <= int(error.response.headers["retry-after"]) <= 60
    assert error.request_id, error.response.headers
    print("refused as it should:", error.message, "Retry-After:", error.response.headers["retry-after"])

try:
    openai.OpenAI(base_url=base_url, api_key="sk-other", max_retries=0).chat.completions.create(**call)
    sys.exit("an unknown key was let in")
except openai.AuthenticationError as error:
    assert error.code == "invalid_api_key", error.code

print("openai", openai.__version__, "ok")
