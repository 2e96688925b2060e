#!/usr/bin/env bash
# Runs: ai 7.0.173 with @ai-sdk/openai-compatible for Node, against 429 with Retry-After.
# Guess: the first retry waits as long as the host says, or where that is too long there is none.
# Happens: up to 59 s it waits as it is told. From 60 s on it takes the header for none, comes back after 2 s and after 4 s
#   more, and gives up.
# Matters: a quota by the minute is often closed for a whole minute, and just then all three attempts meet it closed: three
#   throttled requests within 6 s, and a RetryError.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund ai@7.0.173 @ai-sdk/openai-compatible@3.0.92
cat >seen.mjs <<'END'
import http from "node:http";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, RetryError } from "ai";

let hint, requests;
const server = http.createServer((request, answer) => {
  requests += 1;
  request.resume().on("end", () => {
    answer.writeHead(429, { "content-type": "application/json", "retry-after": hint });
    answer.end(JSON.stringify({ error: { message: "Requests rate limit exceeded", type: "limit_requests", code: "limit_requests" } }));
  });
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const provider = createOpenAICompatible({ name: "host", baseURL: `http://127.0.0.1:${server.address().port}/v1`, apiKey: "none" });

// Nothing is slept: the waits of packages are noted, and not those of Node's own fetch.
const { setTimeout: later } = globalThis;
let waits;
globalThis.setTimeout = (work, wait, ...rest) => {
  const isOfPackage = wait >= 1000 && new Error().stack.includes("node_modules");
  if (isOfPackage) waits.push(wait / 1000);
  return later(work, isOfPackage ? 0 : wait, ...rest);
};

const seen = {};
for (hint of ["3", "59", "60", "61", "75"]) {
  requests = 0;
  waits = [];
  const error = await generateText({ model: provider("qwen-plus"), prompt: "hi" }).catch((error) => error);
  seen[hint] = [requests, RetryError.isInstance(error) ? error.reason : String(error), ...waits];
}
console.log(JSON.stringify(seen));
process.exit(0);
END
seen=$(node seen.mjs)
stated='{"3":[3,"maxRetriesExceeded",3,3],"59":[3,"maxRetriesExceeded",59,59],"60":[3,"maxRetriesExceeded",2,4],"61":[3,"maxRetriesExceeded",2,4],"75":[3,"maxRetriesExceeded",2,4]}'
echo "seen:   $seen"
echo "stated: $stated"
[ "$seen" = "$stated" ]
