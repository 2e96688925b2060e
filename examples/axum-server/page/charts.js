"use strict";

// The four charts: drawn from points of counts that only grow, of which the changes are shown.
const Charts = (() => {
  const KEEP = 360;
  // A wait is a share of calls, so it takes some calls to say anything of it.
  const WAIT_SPAN = 30_000;
  const RATE_SPAN = 4_500;
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
  let points = [];
  let bounds = [];
  let charts = [];

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const clock = (seconds) => {
    const at = new Date(seconds * 1000);
    const two = (number) => String(number).padStart(2, "0");
    const text = two(at.getHours()) + ":" + two(at.getMinutes());
    return at.getSeconds() ? text + ":" + two(at.getSeconds()) : text;
  };

  // The wait that such a share of the calls between two points did not exceed, in seconds; null without calls.
  const quantile = (from, to, share) => {
    const all = to.waits.map((count, at) => count - (from.waits[at] ?? 0));
    const calls = all[all.length - 1];
    if (!(calls > 0)) return null;
    const rank = share * calls;
    const at = all.findIndex((count) => count >= rank);
    // Below the first bound nobody can say whether it was a wait or work.
    if (at === 0) return 0;
    const low = bounds[at - 1];
    const high = bounds[at] ?? low;
    const before = all[at - 1];
    return low + (high - low) * ((rank - before) / (all[at] - before));
  };

  const since = (at, span) => points.findLast((point) => point.at <= at - span) ?? points[0];

  const rate = (name) => points.map((point) => {
    // Of less than that a rate says little: the latest point may be the second of its second.
    const before = since(point.at, RATE_SPAN);
    if (point.at <= before.at) return null;
    // After a restart counts begin anew.
    return Math.max(0, point[name] - before[name]) * 1000 / (point.at - before.at);
  });

  const waits = (share) => points.map((point) => quantile(since(point.at, WAIT_SPAN), point, share));

  const kinds = [
    { id: "chart-tokens", series: [["in", 1, () => rate("input_tokens")], ["out", 2, () => rate("output_tokens")]] },
    { id: "chart-calls", series: [
      ["booked", 1, () => rate("calls")],
      ["rejected", 2, () => rate("rejected")],
      ["failed", 3, () => rate("failed")],
      ["throttles", 4, () => rate("throttled")],
    ] },
    { id: "chart-waits", series: [["50 of 100", 1, () => waits(0.5)], ["95 of 100", 2, () => waits(0.95)]] },
    { id: "chart-queue", series: [
      ["under way", 1, () => points.map((point) => point.under_way)],
      ["in the queue", 2, () => points.map((point) => point.queued)],
    ] },
  ];

  const data = (kind) => [points.map((point) => point.at / 1000), ...kind.series.map(([, , values]) => values())];

  const show = (value) => value === null || value === undefined ? "" : compact.format(value);

  const make = (kind) => {
    const place = document.getElementById(kind.id);
    const axis = { stroke: color("--faint"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1 } };
    const options = {
      width: Math.max(200, place.clientWidth),
      height: 190,
      scales: { x: { time: true }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      series: [
        { label: "at", value: (_, at) => at === null ? "" : clock(at) },
        ...kind.series.map(([label, number]) => ({
          label,
          stroke: color("--series-" + number),
          width: 2,
          points: { show: false },
          value: (_, value) => show(value),
        })),
      ],
      axes: [
        { ...axis, space: 70, values: (_, splits) => splits.map(clock) },
        { ...axis, size: 52, values: (_, splits) => splits.map((value) => compact.format(value)) },
      ],
    };
    return new uPlot(options, data(kind), place);
  };

  const redraw = () => {
    for (const chart of charts) chart.destroy();
    charts = kinds.map(make);
  };

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let timer = 0;
  addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      charts.forEach((chart, at) => {
        const width = Math.max(200, document.getElementById(kinds[at].id).clientWidth);
        if (width !== chart.width) chart.setSize({ width, height: 190 });
      });
    }, 100);
  });

  return {
    // The points of the time before the page was opened.
    begin(history) {
      points = history;
    },
    // One more point; those of every five seconds stay, and the latest.
    add(point, waitBounds) {
      bounds = waitBounds;
      const kept = points[points.length - 2];
      if (kept && points[points.length - 1].at - kept.at < 4500) points.pop();
      points.push(point);
      if (points.length > KEEP) points.shift();
      if (charts.length === 0) redraw();
      else charts.forEach((chart, at) => chart.setData(data(kinds[at])));
    },
    // What a count has grown by in so many milliseconds, and in how many.
    grown(name, span) {
      const last = points[points.length - 1];
      const first = since(last.at, span);
      return { by: Math.max(0, last[name] - first[name]), in: last.at - first.at };
    },
    wait(share, span) {
      const last = points[points.length - 1];
      return quantile(since(last.at, span), last, share);
    },
  };
})();
