/** The token rate of a running chat, drawn as an SVG path. */
const WIDTH = 400;
const HEIGHT = 90;
const BINS = 80;
const WINDOW_S = 0.06;
const SVG = "http://www.w3.org/2000/svg";

export class RateChart {
  #svg;
  #times = [];
  #line = document.createElementNS(SVG, "path");
  #area = document.createElementNS(SVG, "path");

  constructor(svg) {
    this.#svg = svg;
    this.#line.classList.add("line");
    this.#area.classList.add("area");
    svg.replaceChildren(this.#area, this.#line);
  }

  clear() {
    this.#times = [];
    for (const path of [this.#line, this.#area]) path.removeAttribute("d");
  }

  /** Adds a token that arrived `seconds` after the request. */
  add(seconds) {
    this.#times.push(seconds);
  }

  /** Tokens per second between the first and the last token; null with fewer than two. */
  get mean() {
    const span = this.#times.at(-1) - this.#times[0];
    return span > 0 ? (this.#times.length - 1) / span : null;
  }

  /** Draws the rate from the request until `now`, in seconds. */
  draw(now) {
    const rates = this.#rates(now);
    const top = Math.max(...rates) || 1;
    const points = rates.map((rate, bin) => [
      ((bin / (BINS - 1)) * WIDTH).toFixed(1),
      (HEIGHT - 2 - (rate / top) * (HEIGHT - 8)).toFixed(1),
    ]);
    const line = `M${points.map((point) => point.join(" ")).join("L")}`;
    this.#line.setAttribute("d", line);
    this.#area.setAttribute("d", `${line}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`);
    const mean = this.mean;
    this.#svg.setAttribute("aria-label", mean ? `${Math.round(mean)} tokens per second on average` : "No tokens yet");
  }

  /** The rate at each of BINS times, averaged over at least WINDOW_S: a few frames of a screen. */
  #rates(now) {
    const width = Math.max(now, 0.05) / BINS;
    const counts = new Array(BINS).fill(0);
    for (const time of this.#times) counts[Math.min(BINS - 1, Math.floor(time / width))] += 1;
    const reach = Math.max(2, Math.ceil(WINDOW_S / width / 2));
    return counts.map((_, bin) => {
      const around = counts.slice(Math.max(0, bin - reach), bin + reach + 1);
      return around.reduce((sum, count) => sum + count, 0) / around.length / width;
    });
  }
}
