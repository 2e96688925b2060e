// LangChain JS with its chat model of OpenAI.

import { HumanMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { check, checkCall, failure, FUNCTION, gateway, IMAGE_URL, key, limited, QUESTION, row, TOO_LONG, waits, WRONG_KEY } from "./rows.mjs";

const model = (url = gateway, apiKey = key, more = {}) =>
  new ChatOpenAI({ model: "qwen-plus", apiKey, configuration: { baseURL: `${url}/v1` }, ...more });
const tools = [{ type: "function", function: FUNCTION }];
const called = (answer) => checkCall(answer.tool_calls[0].name, answer.tool_calls[0].args);

// What an error is, with LangChain's own code where it gives one.
function named(error, name) {
  check(error.constructor.name === name, error.constructor.name, error.message);
  return [name, error.code, error.lc_error_code].filter(Boolean).join(" ");
}

// All parts of a stream as one.
async function joined(stream) {
  let whole;
  for await (const part of await stream) whole = whole ? whole.concat(part) : part;
  return whole;
}

await row("whole", async () => {
  const answer = await model().invoke(QUESTION);
  check(answer.text && answer.usage_metadata.total_tokens > 0, answer);
});
await row("streamed", async () => {
  const answer = await joined(model().stream(QUESTION));
  check(answer.text && answer.usage_metadata.total_tokens > 0, answer);
});
await row("tool call", async () => called(await model().bindTools(tools, { tool_choice: "required" }).invoke(QUESTION)));
await row("tool call streamed", async () => called(await joined(model().bindTools(tools, { tool_choice: "depth" }).stream(QUESTION))));
await row("image", async () => {
  const content = [{ type: "image_url", image_url: { url: IMAGE_URL } }, { type: "text", text: QUESTION }];
  check((await model(gateway, key, { model: "qwen3-vl-plus" }).invoke([new HumanMessage({ content })])).text);
});
await row("too long", async () => {
  const error = await failure(() => model().invoke(TOO_LONG));
  return named(error, "BadRequestError");
});
await row("quota", async () => {
  const one = model(limited, key, { maxRetries: 0 });
  await one.invoke(QUESTION);
  const error = await failure(() => one.invoke(QUESTION));
  return `${named(error, "RateLimitError")}, Retry-After ${error.headers.get("retry-after")}`;
});
await row("quota, retried", () => waits(() => model(limited).invoke(QUESTION)));
await row("wrong key", async () => {
  const error = await failure(() => model(gateway, WRONG_KEY).invoke(QUESTION));
  return named(error, "AuthenticationError");
});
