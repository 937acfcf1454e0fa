/** The token rate of a chat over its time, drawn as an SVG. */
import { fit, gridLine, roundUp, text } from "./axis.js";
import { shape } from "./dom.js";

const HEIGHT = 116;
const FLOOR = 98;
const TOP = 14;
const BINS = 80;
const WINDOW_MS = 60;

/** Draws the rate from the request until now, or the chat's end. Without a measurement the chart is empty. */
export function drawRate(svg, measurement) {
  const width = fit(svg, HEIGHT);
  if (!measurement?.times.length) {
    svg.replaceChildren();
    svg.setAttribute("aria-label", "No tokens yet");
    return;
  }
  const now = measurement.elapsedMs;
  const rates = ratesUntil(now, measurement.times);
  const top = roundUp(Math.max(...rates));
  const y = (rate) => FLOOR - (rate / top) * (FLOOR - TOP);
  const points = rates.map((rate, bin) => `${((bin / (BINS - 1)) * width).toFixed(1)} ${y(rate).toFixed(1)}`);
  const line = `M${points.join("L")}`;
  svg.replaceChildren(
    ...[top, top / 2].map((rate) => gridLine(y(rate), width, `${rate.toLocaleString("en")}/s`)),
    shape("path", { class: "area", d: `${line}L${width} ${FLOOR}L0 ${FLOOR}Z` }),
    shape("path", { class: "line", d: line }),
    shape("g", { class: "grid" }, ...ticks(now, width)),
  );
  const mean = measurement.rate;
  svg.setAttribute("aria-label", mean ? `${Math.round(mean)} tokens per second on average` : "One token");
}

/** Labels of the time: 0, the end, and the middle. */
function ticks(now, width) {
  const seconds = (share) => `${((now * share) / 1000).toFixed(now < 1000 ? 2 : 1)} s`;
  return [
    text(0, HEIGHT - 4, "0"),
    text(width / 2, HEIGHT - 4, seconds(0.5), "middle"),
    text(width, HEIGHT - 4, seconds(1), "end"),
  ];
}

/** The rate at each of BINS times, averaged over at least WINDOW_MS: a few frames of a screen. */
function ratesUntil(now, times) {
  const width = Math.max(now, 50) / BINS;
  const counts = new Array(BINS).fill(0);
  for (const time of times) counts[Math.min(BINS - 1, Math.floor(time / width))] += 1;
  const reach = Math.max(2, Math.ceil(WINDOW_MS / width / 2));
  return counts.map((_, bin) => {
    const around = counts.slice(Math.max(0, bin - reach), bin + reach + 1);
    return (around.reduce((sum, count) => sum + count, 0) / around.length / width) * 1000;
  });
}
