// The official client of OpenAI for Node.

import OpenAI from "openai";
import { check, checkCall, failure, FUNCTION, gateway, IMAGE_URL, key, limited, QUESTION, row, TOO_LONG, waits, WRONG_KEY } from "./rows.mjs";

const client = (url = gateway, apiKey = key, more = {}) => new OpenAI({ baseURL: `${url}/v1`, apiKey, ...more });
const asked = (content = QUESTION, more = {}) => ({ model: "qwen-plus", messages: [{ role: "user", content }], ...more });
const ask = (client, ...what) => client.chat.completions.create(asked(...what));
const tools = [{ type: "function", function: FUNCTION }];

function called(answer) {
  const { name, arguments: text } = answer.choices[0].message.tool_calls[0].function;
  checkCall(name, JSON.parse(text));
}

await row("whole", async () => {
  const answer = await ask(client());
  check(answer.choices[0].message.content && answer.usage.total_tokens > 0, answer);
});
await row("streamed", async () => {
  let text = "";
  let usage;
  for await (const chunk of await ask(client(), QUESTION, { stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  check(text && usage.total_tokens > 0, text, usage);
});
await row("tool call", async () => called(await ask(client(), QUESTION, { tools, tool_choice: "required" })));
await row("tool call streamed", async () => {
  const tool_choice = { type: "function", function: { name: "depth" } };
  called(await client().chat.completions.stream(asked(QUESTION, { tools, tool_choice })).finalChatCompletion());
});
await row("image", async () => {
  const parts = [{ type: "image_url", image_url: { url: IMAGE_URL } }, { type: "text", text: QUESTION }];
  check((await ask(client(), parts, { model: "qwen3-vl-plus" })).choices[0].message.content);
});
await row("too long", async () => {
  const error = await failure(() => ask(client(), TOO_LONG));
  check(error instanceof OpenAI.BadRequestError, error.message);
  return `BadRequestError ${error.code}`;
});
await row("quota", async () => {
  const one = client(limited, key, { maxRetries: 0 });
  await ask(one);
  const error = await failure(() => ask(one));
  check(error instanceof OpenAI.RateLimitError, error.message);
  return `RateLimitError ${error.code}, Retry-After ${error.headers.get("retry-after")}`;
});
await row("quota, retried", () => waits(() => ask(client(limited))));
await row("wrong key", async () => {
  const error = await failure(() => ask(client(gateway, WRONG_KEY)));
  check(error instanceof OpenAI.AuthenticationError, error.message);
  return `AuthenticationError ${error.code}`;
});
