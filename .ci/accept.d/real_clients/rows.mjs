// What all clients are asked, and the lines that say how it went: name of the row, `ok` or `wrong`, what was seen.

// A gateway without limits, one that lets a caller make one call in a window, and the caller's key.
export const [gateway, limited, key] = process.argv.slice(2);
export const WRONG_KEY = "sk-nobody";
export const QUESTION = "How deep is the river?";
// The mock takes prompts of 60,000 tokens, and each word is one.
export const TOO_LONG = "river ".repeat(61_000);
export const SCHEMA = { type: "object", properties: { river: { type: "string" } }, required: ["river"] };
export const FUNCTION = { name: "depth", description: "The depth of a river.", parameters: SCHEMA };
// A grey picture, base64: the one of rows.py.
export const IMAGE = process.env.IMAGE;
export const IMAGE_URL = `data:image/png;base64,${IMAGE}`;

export function check(is, ...what) {
  if (!is) throw new Error(`not so: ${JSON.stringify(what)}`);
}

// What the mock makes of the schema.
export function checkCall(name, args) {
  check(name === "depth" && args?.river === "river", name, args);
}

// One row: `act` gives what is worth seeing, or fails.
export async function row(name, act) {
  let line;
  try {
    line = ["ok", (await act()) ?? ""];
  } catch (error) {
    line = ["wrong", `${error?.name}: ${error?.message}`.replace(/\s+/g, " ").slice(0, 300)];
  }
  console.log([name, ...line].join("\t"));
}

// The error of a call that has to fail.
export async function failure(act) {
  try {
    await act();
  } catch (error) {
    return error;
  }
  throw new Error("the call was let in");
}

// How long a call took that its client has to make twice: Retry-After is in whole seconds.
export async function waits(act) {
  const begin = performance.now();
  await act();
  const took = (performance.now() - begin) / 1000;
  check(took >= 0.9, took);
  return `waits ${took.toFixed(1)} s, then an answer`;
}
