"use strict";

// Whatever comes from callers (names of models above all) gets into the page as text alone.
(() => {
  const byId = (id) => document.getElementById(id);
  const whole = new Intl.NumberFormat("en");
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

  const make = (name, text, kind) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };

  const percent = (share) => Math.floor(share * 100) + " %";
  const level = (share) => share >= 1 ? "full" : share >= 0.8 ? "near" : "";

  const money = (costs) => costs.length === 0 ? "–" : costs.map(({ amount, currency }) => {
    const number = Number(amount);
    const digits = number >= 100 ? 2 : number >= 1 ? 3 : 6;
    return number.toLocaleString("en", { maximumFractionDigits: digits }) + " " + currency;
  }).join(", ");

  const bar = (gate) => {
    if (!gate) return make("span", "no limit", "note");
    const share = gate.quota > 0 ? gate.used / gate.quota : 1;
    return shareBar(share, compact.format(gate.used) + " of " + compact.format(gate.quota)
      + (gate.rate_percent < 100 ? ", at " + gate.rate_percent + " %" : ""));
  };

  const shareBar = (share, text) => {
    const element = make("span", undefined, "bar " + level(share));
    const track = make("i");
    const filled = make("b");
    filled.style.width = Math.min(100, share * 100) + "%";
    track.append(filled);
    element.append(track, make("span", text));
    return element;
  };

  // Fills a table. A cell is a text, an element, or a number with the text that shows it.
  const fill = (id, rows, none) => {
    const table = byId(id);
    const labels = [...table.tHead.rows[0].cells].map((cell) => [cell.textContent, cell.className]);
    const lines = rows.map((cells) => {
      const line = make("tr");
      cells.forEach((cell, at) => {
        const [label, kind] = labels[at];
        const place = make("td", undefined, kind);
        place.dataset.label = label;
        if (cell instanceof Node) place.append(cell);
        else if (typeof cell === "number") {
          place.dataset.value = cell;
          place.textContent = whole.format(cell);
        } else place.textContent = cell;
        line.append(place);
      });
      return line;
    });
    if (lines.length === 0) {
      const line = make("tr");
      const place = make("td", none, "none");
      place.colSpan = labels.length;
      line.append(place);
      lines.push(line);
    }
    table.tBodies[0].replaceChildren(...lines);
  };

  const sums = (all) => Object.entries(all).sort(([, a], [, b]) =>
    b.input_tokens + b.output_tokens - a.input_tokens - a.output_tokens || b.calls - a.calls);

  const sumCells = (name, sum) =>
    [name || "(no model)", sum.calls, sum.failed, sum.input_tokens, sum.output_tokens, money(sum.cost)];

  const more = (id, count) => {
    byId(id).hidden = count === 0;
    byId(id).textContent = "And " + whole.format(count) + " more, with fewer tokens.";
  };

  const tile = (id, text, exact) => {
    byId(id).textContent = text;
    if (exact !== undefined) byId(id).dataset.value = exact;
  };

  const seconds = (wait) => wait === null ? "–" : wait === 0 ? "< 10 ms"
    : wait < 1 ? Math.round(wait * 1000) + " ms" : wait.toFixed(1) + " s";

  const showTiles = (figures) => {
    const { point, usage } = figures;
    const rate = (...names) => {
      const grown = names.map((name) => Charts.grown(name, 10_000));
      return grown[0].in > 0 ? grown.reduce((sum, each) => sum + each.by, 0) * 1000 / grown[0].in : 0;
    };
    tile("calls-rate", compact.format(rate("calls", "rejected")));
    tile("tokens-rate", compact.format(rate("input_tokens", "output_tokens")));
    tile("under-way", whole.format(point.under_way));
    tile("queued", whole.format(point.queued));
    tile("wait", seconds(Charts.wait(0.95, 60_000)));
    tile("throttles", whole.format(Charts.grown("throttled", 300_000).by));
    tile("rejected", whole.format(Charts.grown("rejected", 300_000).by));
    tile("total-calls", whole.format(usage.total.calls), usage.total.calls);
    const tokens = usage.total.input_tokens + usage.total.output_tokens;
    tile("total-tokens", compact.format(tokens), tokens);
    tile("total-cost", money(usage.total.cost), JSON.stringify(usage.total.cost));
  };

  const showNear = (near) => {
    const lines = near.map(({ kind, name, what, share }) => {
      const line = make("li", undefined, share >= 1 ? "full" : "");
      line.append(make("b", percent(share)), " of " + what + ": " + kind + " " + name);
      return line;
    });
    if (lines.length === 0) lines.push(make("li", "Nobody is.", "none"));
    byId("near").replaceChildren(...lines);
  };

  const accountState = (account) => {
    if (account.plan_used_up) return make("span", "plan used up", "bad");
    if (account.closed_ms > 0) return make("span", "closed for " + (account.closed_ms / 1000).toFixed(1) + " s", "warn");
    return "open";
  };

  const showTables = (figures) => {
    const { usage } = figures;
    fill("accounts", figures.upstreams.map((account) => [
      account.name, account.model || "all", bar(account.requests), bar(account.tokens), account.queued, account.running,
      Object.entries(account.throttled).map(([cause, count]) => whole.format(count) + " " + cause).join(", ") || "none",
      accountState(account),
    ]), "No call has gone to an upstream yet.");
    const quotas = new Map(figures.callers.map((caller) => [caller.name, caller]));
    fill("tenants", sums(usage.tenants).map(([name, sum]) => {
      const caller = quotas.get(name);
      return [...sumCells(name, sum), bar(caller?.requests), bar(caller?.tokens)];
    }), "No caller has called yet.");
    fill("models", sums(usage.models).map(([name, sum]) => sumCells(name, sum)), "No model was called yet.");
    fill("upstreams", sums(usage.upstreams).map(([name, sum]) => sumCells(name, sum)), "No call has gone to an upstream yet.");
    more("tenants-more", usage.left_out[0]);
    more("models-more", usage.left_out[1]);
    fill("budgets", figures.budgets.map((budget) => [
      budget.kind + " " + budget.owner, budget.period, shareBar(budget.share, percent(budget.share)), budget.spent,
      budget.reserved, budget.limit, budget.rejected,
      budget.resets_at === null ? "–" : new Date(budget.resets_at).toLocaleString("en-GB", { dateStyle: "short", timeStyle: "short" }),
    ]), "There are no budgets.");
  };

  const state = (text, kind) => {
    byId("state").textContent = text;
    byId("state").className = "state " + kind;
  };

  const show = (figures) => {
    Charts.add(figures.point, figures.wait_bounds);
    showTiles(figures);
    showNear(figures.near);
    showTables(figures);
    byId("logout").hidden = !figures.has_admin_key;
    if (figures.ledger_lost > 0) state(whole.format(figures.ledger_lost) + " calls are missing in the ledger's file", "bad");
    else if (figures.not_ready) state("not ready: " + figures.not_ready, "bad");
    else state("ready", "good");
    // For whoever checks the page against `/usage`.
    document.body.dataset.at = figures.point.at;
  };

  // A question with two answers, or a text with one. What it showed is gone when it is closed.
  const ask = (title, text, { key, yes = "OK", danger = false } = {}) => new Promise((answer) => {
    const dialog = byId("dialog");
    dialog.querySelector("h3").textContent = title;
    dialog.querySelector("p").textContent = text;
    const shown = dialog.querySelector("output");
    shown.hidden = key === undefined;
    shown.textContent = key ?? "";
    byId("dialog-yes").textContent = yes;
    byId("dialog-yes").classList.toggle("danger", danger);
    byId("dialog-no").hidden = key !== undefined || yes === "OK";
    let is_yes = false;
    byId("dialog-yes").onclick = () => {
      is_yes = true;
      dialog.close();
    };
    byId("dialog-no").onclick = () => dialog.close();
    dialog.onclose = () => {
      shown.textContent = "";
      answer(is_yes);
    };
    dialog.showModal();
  });

  const call = async (method, path, body) => {
    const options = { method, headers: { accept: "application/json" } };
    if (body) {
      options.headers["content-type"] = "application/json";
      options.body = JSON.stringify(body);
    }
    const answer = await fetch(path, options);
    if (answer.status === 204) return {};
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.error?.message ?? "the gateway answers " + answer.status);
    return said;
  };

  // Does something, and shows the keys and groups as they are afterwards.
  const change = async (work) => {
    try {
      const made = await work();
      await showEntries();
      if (made?.key) await ask("The new key of " + made.name, "It is shown this once. Copy it now.", { key: made.key, yes: "I have it" });
    } catch (error) {
      await ask("That was not done", error.message);
    }
  };

  const button = (text, work, kind) => {
    const element = make("button", text, kind);
    element.type = "button";
    element.onclick = () => change(work);
    return element;
  };

  const path = (kind, entry) => "/admin/" + kind + "/" + encodeURIComponent(entry.name);

  const remove = (kind, entry, text) => async () => {
    const name = entry.name;
    if (await ask(text + " " + name + "?", "It cannot be undone.", { yes: text, danger: true })) return call("DELETE", path(kind, entry));
  };

  const renew = (entry) => async () => {
    const text = "The key so far lives on as its second, until the next change of its key.";
    if (await ask("A new key for " + entry.name + "?", text, { yes: "New key" })) return call("PATCH", path("callers", entry), { new_key: true });
  };

  const NO_LIMITS = new Set(["name", "key_sha256", "old_key_sha256", "old_key_expires", "expires", "group", "source", "models", "priority"]);

  const limits = (entry) => Object.entries(entry).filter(([name]) => !NO_LIMITS.has(name))
    .map(([name, value]) => (typeof value === "object" ? JSON.stringify(value) : value) + " " + name.replaceAll("_", " ")).join(", ") || "none";

  const from = (entry) => entry.source === "file" ? "the file" : "here";

  const showEntries = async () => {
    const [{ callers }, { groups }] = await Promise.all([call("GET", "/admin/callers"), call("GET", "/admin/groups")]);
    fill("keys", callers.map((entry) => {
      const buttons = make("span", undefined, "buttons");
      if (entry.source === "api") {
        buttons.append(button("New key", renew(entry)), button("Revoke", remove("callers", entry, "Revoke"), "danger"));
      }
      const keys = [entry.key_sha256, entry.old_key_sha256].filter(Boolean).join(", ");
      const key = make("span", keys || "–", "mono");
      return [entry.name, key, entry.group ?? "–", limits(entry), from(entry), buttons];
    }), "There are no callers but those of the command line.");
    fill("groups", groups.map((entry) => {
      const buttons = make("span", undefined, "buttons");
      if (entry.source === "api") buttons.append(button("Remove", remove("groups", entry, "Remove"), "danger"));
      return [entry.name, limits(entry), from(entry), buttons];
    }), "There are no groups.");
  };

  const onAdd = (id, to) => byId(id).addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target;
    const entry = {};
    for (const input of form.elements) {
      if (!input.name || input.value === "") continue;
      entry[input.name] = input.type === "number" ? Number(input.value) : input.value.trim();
    }
    change(async () => {
      const made = await call("POST", to, entry);
      form.reset();
      return made;
    });
  });

  onAdd("add-caller", "/admin/callers");
  onAdd("add-group", "/admin/groups");
  showEntries().catch((error) => state(error.message, "bad"));

  const stream = new EventSource("/page/events");
  stream.addEventListener("history", (event) => Charts.begin(JSON.parse(event.data)));
  stream.addEventListener("figures", (event) => show(JSON.parse(event.data)));
  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED) {
      state("not connected: load the page again to log in", "bad");
    } else {
      state("connecting again", "bad");
    }
  });
})();
