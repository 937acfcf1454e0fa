/** Tiles and charts of the chats in view: success, time to first token, output rate, cost. */
import { fit, gridLine, roundUp, text } from "./axis.js";
import { element, shape } from "./dom.js";
import { clock, counted, dollars, milliseconds, outcomeClass, outputRate } from "./format.js";

const HEIGHT = 84;
const TOP = 13;
const FLOOR = 68;
const BINS = 48;
const CLASSES = ["good", "neutral", "bad"];

/** Renders the tiles of `rows`, which are in any order. */
export function renderTiles(root, rows) {
  const ended = rows.filter((row) => row.outcome !== "running");
  const times = ended.map((row) => row.created_ms);
  const period = { from: Math.min(...times), to: Math.max(...times) };
  const tiles = [success(ended, period), firstToken(ended, period), rate(ended, period), cost(ended, period)];
  const figures = tiles.map(({ title, value, note, label }) =>
    element("figure", { className: "tile card" },
      element("figcaption", {}, title),
      element("p", {}, element("strong", {}, value), " ", element("span", {}, note)),
      shape("svg", { role: "img", "aria-label": label ?? `${title}: ${value} ${note}` }),
    ),
  );
  root.replaceChildren(...figures);
  if (ended.length) tiles.forEach(({ draw }, index) => draw(figures[index].querySelector("svg")));
}

function success(rows, period) {
  const count = (kind) => rows.filter((row) => outcomeClass(row.outcome) === kind).length;
  const [good, neutral, bad] = CLASSES.map(count);
  return {
    title: "Success rate",
    value: good + bad ? `${((good / (good + bad)) * 100).toFixed(bad ? 1 : 0)} %` : "–",
    note: [bad && `${bad} failed`, neutral && `${neutral} by clients`].filter(Boolean).join(", "),
    draw: (svg) => {
      const ofClass = (name) => rows.filter((row) => outcomeClass(row.outcome) === name);
      drawBars(svg, period, CLASSES.map((name) => [name, ofClass(name), () => 1]), String);
    },
  };
}

function firstToken(rows, period) {
  const points = rows.filter((row) => row.ttft_ms !== null).map((row) => [row.created_ms, row.ttft_ms]);
  const [p50, p95] = [0.5, 0.95].map((share) => milliseconds(percentile(points, share)));
  const draw = (svg) => drawDots(svg, period, points, milliseconds);
  return { title: "Time to first token", value: p50, note: `p50, ${p95} p95`, draw };
}

function rate(rows, period) {
  const points = rows.map((row) => [row.created_ms, outputRate(row)]).filter(([, value]) => value !== null);
  const p50 = percentile(points, 0.5);
  const value = p50 === null ? "–" : String(Math.round(p50));
  return { title: "Tokens per second", value, note: "p50", draw: (svg) => drawDots(svg, period, points, (each) => `${each}/s`) };
}

function cost(rows, period) {
  const total = rows.reduce((sum, row) => sum + (row.cost_usd ?? 0), 0);
  return {
    title: "Cost",
    value: dollars(total),
    note: `of ${counted(rows.length, "chat")}`,
    draw: (svg) => drawBars(svg, period, [["cost", rows, (row) => row.cost_usd ?? 0]], dollars),
  };
}

/** By nearest rank; null without points. */
function percentile(points, share) {
  const values = points.map(([, value]) => value).sort((one, other) => one - other);
  return values.length ? values[Math.ceil(share * values.length) - 1] : null;
}

const share = (at, { from, to }) => (to > from ? (at - from) / (to - from) : 0.5);

/** Bars of sums over time; `layers` are [class, rows, value of a row], stacked in this order. */
function drawBars(svg, period, layers, format) {
  const width = fit(svg, HEIGHT);
  const sums = layers.map(([, rows, valueOf]) => {
    const bins = new Array(BINS).fill(0);
    for (const row of rows) bins[Math.min(BINS - 1, Math.floor(share(row.created_ms, period) * BINS))] += valueOf(row);
    return bins;
  });
  const top = Math.max(...sums[0].map((_, bin) => sums.reduce((sum, bins) => sum + bins[bin], 0))) || 1;
  const y = (value) => FLOOR - (value / top) * (FLOOR - TOP);
  const step = width / BINS;
  const bars = [];
  for (let bin = 0; bin < BINS; bin += 1) {
    let below = 0;
    layers.forEach(([name], layer) => {
      const value = sums[layer][bin];
      if (!value) return;
      const [x, above] = [bin * step + 0.5, y(below + value)];
      bars.push(shape("rect", { class: `fill ${name}`, x, y: above, width: Math.max(1, step - 1), height: y(below) - above }));
      below += value;
    });
  }
  svg.replaceChildren(gridLine(TOP, width, format(top)), ...bars, ...periodLabels(width, period));
}

/** A dot for each of the points [time, value]. */
function drawDots(svg, period, points, format) {
  const width = fit(svg, HEIGHT);
  const top = roundUp(Math.max(...points.map(([, value]) => value)));
  const dots = points.map(([at, value]) => {
    const [cx, cy] = [3 + share(at, period) * (width - 6), FLOOR - (value / top) * (FLOOR - TOP)];
    return shape("circle", { class: "fill dot", cx: cx.toFixed(1), cy: cy.toFixed(1), r: 2 });
  });
  svg.replaceChildren(gridLine(TOP, width, format(top)), ...dots, ...periodLabels(width, period));
}

const periodLabels = (width, { from, to }) => [
  shape("g", { class: "grid" },
    shape("path", { d: `M0 ${FLOOR + 0.5}H${width}` }),
    text(0, HEIGHT - 3, clock(from)),
    text(width, HEIGHT - 3, clock(to), "end"),
  ),
];
