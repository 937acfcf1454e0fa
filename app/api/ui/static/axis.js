/** Scales of charts: round numbers, with lines and labels. */
import { shape } from "./dom.js";

const STEPS = [1, 1.5, 2, 3, 5, 7.5, 10];

/** The next round number that is not below `value`. */
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return STEPS.map((step) => step * power).find((rounded) => rounded >= value * 0.999);
}

/** The width of an SVG in pixels; sets its viewBox to its size, so that texts and lines keep theirs. */
export function fit(svg, height) {
  const width = Math.max(120, svg.clientWidth || 400);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  return width;
}

/** A horizontal line at `y` with its value. */
export const gridLine = (y, width, label) =>
  shape("g", { class: "grid" }, shape("path", { d: `M0 ${y}H${width}` }), text(0, y - 3, label));

/** `anchor` is start, middle or end. */
export const text = (x, y, label, anchor = "start") => shape("text", { x, y, "text-anchor": anchor }, label);
