// The gateway's page in a browser: after a login by the form, in two sizes, light and dark, while calls run. Nothing may be on the
// console, and the figures must be those of `/usage`.
//   node page.mjs GATEWAY ADMIN_KEY FOLDER
import { chromium } from "playwright-core";

const [gateway, adminKey, folder] = process.argv.slice(2);
const usage = async () => (await fetch(gateway + "/usage", { headers: { authorization: "Bearer " + adminKey } })).json();
const same = (what, found, expected) => {
  if (JSON.stringify(found) !== JSON.stringify(expected)) throw new Error(`${what} is ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
};

// Calls, one after the other, for as long as the page is watched; one names a model that would be an element.
let isOver = false;
const post = (model, prompt, key = "sk-study") => fetch(gateway + "/v1/chat/completions", {
  method: "POST",
  headers: { authorization: "Bearer " + key, "content-type": "application/json" },
  body: JSON.stringify({ model, stream: true, max_tokens: 60, messages: [{ role: "user", content: prompt }] }),
}).then((answer) => answer.text());
const load = async () => {
  for (let call = 0; !isOver; call++) await post(call % 3 ? "qwen-plus" : "qwen-turbo", "Tell me of rivers. " + call);
};
await post("<img src=x onerror=alert(1)>", "Hi");
const loads = Array.from({ length: 4 }, load);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
const problems = [];
const watched = (page, where) => {
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push(`${where}: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`${where}: ${error}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(gateway)) problems.push(`${where}: asks for ${request.url()}`);
  });
};
// What the tables of sums show, exactly.
const table = (page, id) => page.$$eval(`#${id} tbody tr`, (rows) => Object.fromEntries(rows.map((row) => {
  const cells = [...row.cells];
  return [cells[0].textContent, cells.slice(1, 5).map((cell) => Number(cell.dataset.value))];
})));
const sums = (all) => Object.fromEntries(Object.entries(all).map(([name, sum]) =>
  [name, [sum.calls, sum.failed, sum.input_tokens, sum.output_tokens]]));
const sorted = (object) => Object.fromEntries(Object.entries(object).sort());

const pages = [];
for (const [width, height] of [[1280, 800], [390, 844]]) {
  for (const colorScheme of ["light", "dark"]) {
    const where = `${width}-${colorScheme}`;
    const context = await browser.newContext({ viewport: { width, height }, colorScheme });
    const page = await context.newPage();
    watched(page, where);
    await page.goto(gateway + "/");
    await page.screenshot({ path: `${folder}/login-${where}.png` });
    await page.fill("#key", adminKey);
    await page.click("form button");
    await page.waitForSelector("#state.good");
    await page.waitForFunction(() => document.querySelectorAll("canvas").length === 4);
    pages.push({ where, page });
  }
}
// A caller comes and goes by the page; its key is shown once.
const { page } = pages[0];
await page.fill("#add-caller [name=name]", "by-page");
await page.fill("#add-caller [name=usd_per_day]", "2.5");
await page.click("#add-caller button");
const key = await page.textContent("#dialog output:not([hidden])");
if (!/^sk-[0-9a-f]{48}$/.test(key)) throw new Error(`no key but ${key}`);
await page.screenshot({ path: `${folder}/key.png` });
await page.click("#dialog-yes");
await page.waitForFunction(() => document.querySelector("#keys").textContent.includes("by-page"));
if ((await page.content()).includes(key)) throw new Error("the key is still in the page");
await page.click("#keys tr:has-text('by-page') button.danger");
await page.click("#dialog-yes");
await page.waitForFunction(() => !document.querySelector("#keys").textContent.includes("by-page"));

// Some time of load, for the charts; then a caller that has used all that it may.
await new Promise((done) => setTimeout(done, 25_000));
for (let call = 0; call < 5; call++) await post("qwen-plus", "Hi", "sk-search");
for (const { where, page } of pages) {
  await page.waitForSelector("#near li:has-text('search-frontend-production')");
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `${folder}/page-${where}.png`, fullPage: true });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) throw new Error(`${where}: the page is ${wide} pixels too wide`);
  const cut = await page.$$eval("th, td, .tile, .near li", (cells) => cells.filter((cell) =>
    cell.offsetParent && cell.scrollWidth > cell.clientWidth + 1).map((cell) => cell.textContent));
  if (cut.length > 0) throw new Error(`${where}: cut off: ${cut}`);
}
isOver = true;
await Promise.all(loads);
// What is booked does not change any more; the page has it within two seconds.
const booked = await usage();
for (const { where, page } of pages) {
  const from = Date.now();
  await page.waitForFunction((at) => Number(document.body.dataset.at) > at, from);
  same(`${where}: calls`, await page.$eval("#total-calls", (tile) => Number(tile.dataset.value)), booked.total.calls);
  same(`${where}: tokens`, await page.$eval("#total-tokens", (tile) => Number(tile.dataset.value)), booked.total.input_tokens + booked.total.output_tokens);
  same(`${where}: cost`, JSON.parse(await page.$eval("#total-cost", (tile) => tile.dataset.value)), booked.total.cost);
  for (const id of ["tenants", "models", "upstreams"]) {
    same(`${where}: ${id}`, sorted(await table(page, id)), sorted(sums(booked[id])));
  }
  if (await page.$("table img")) throw new Error(`${where}: a caller's text became an element`);
}
await pages[0].page.click("#logout button");
await pages[0].page.waitForSelector("#key");
await browser.close();
if (problems.length > 0) throw new Error(problems.join("\n"));
console.log(`ok: ${pages.length} pages without a word on the console, ${booked.total.calls} calls as in /usage`);
