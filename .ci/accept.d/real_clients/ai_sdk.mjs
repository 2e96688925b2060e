// The AI SDK with its provider for Alibaba.

import { createAlibaba } from "@ai-sdk/alibaba";
import { APICallError, generateText, jsonSchema, RetryError, streamText, tool } from "ai";
import { check, checkCall, failure, gateway, IMAGE, key, limited, QUESTION, row, SCHEMA, TOO_LONG, waits, WRONG_KEY } from "./rows.mjs";

const model = (url = gateway, apiKey = key, name = "qwen-plus") =>
  createAlibaba({ baseURL: `${url}/v1`, apiKey })(name);
const ask = (model, prompt = QUESTION, more = {}) => generateText({ model, prompt, ...more });
const tools = { depth: tool({ description: "The depth of a river.", inputSchema: jsonSchema(SCHEMA) }) };
const toolChoice = { type: "tool", toolName: "depth" };
const called = (calls) => checkCall(calls[0].toolName, calls[0].input);
const stream = (more = {}) => streamText({ model: model(), prompt: QUESTION, onError: () => {}, ...more });

await row("whole", async () => {
  const answer = await ask(model());
  check(answer.text && answer.usage.totalTokens > 0, answer.usage);
});
await row("streamed", async () => {
  const answer = stream();
  let text = "";
  for await (const part of answer.textStream) text += part;
  const usage = await answer.usage;
  check(text && usage.totalTokens > 0, text, usage);
});
await row("tool call", async () => called((await ask(model(), QUESTION, { tools, toolChoice: "required" })).toolCalls));
await row("tool call streamed", async () => called(await stream({ tools, toolChoice }).toolCalls));
await row("image", async () => {
  const image = { type: "file", mediaType: "image/png", data: IMAGE };
  const messages = [{ role: "user", content: [image, { type: "text", text: QUESTION }] }];
  check((await generateText({ model: model(gateway, key, "qwen3-vl-plus"), messages })).text);
});
await row("too long", async () => {
  const error = await failure(() => ask(model(), TOO_LONG));
  check(APICallError.isInstance(error) && error.statusCode === 400 && !error.isRetryable, error.message);
  return `APICallError 400 ${error.data?.error?.code ?? ""}, not to be retried`;
});
await row("quota", async () => {
  const one = model(limited);
  await ask(one, QUESTION, { maxRetries: 0 });
  const error = await failure(() => ask(one, QUESTION, { maxRetries: 0 }));
  check(APICallError.isInstance(error) && error.statusCode === 429 && error.isRetryable, error.message);
  return `APICallError 429 ${error.data?.error?.code ?? ""}, to be retried, Retry-After ${error.responseHeaders["retry-after"]}`;
});
await row("quota, retried", () => waits(() => ask(model(limited))));
await row("wrong key", async () => {
  const error = await failure(() => ask(model(gateway, WRONG_KEY)));
  check(APICallError.isInstance(error) && error.statusCode === 401 && !RetryError.isInstance(error), error.message);
  return `APICallError 401 ${error.data?.error?.code ?? ""}`;
});
