/** The details of a chat: measured by this page while it runs, and from its row afterwards. */
import { drawRate } from "./rate_chart.js";
import { element } from "./dom.js";
import { dollars, milliseconds, outcomeClass, outputRate, perSecond } from "./format.js";
import { renderSteps, steps, summary } from "./timeline.js";

const FACTS = {
  ttft: "Time to first token",
  rate: "Output rate",
  duration: "Duration",
  tokens: "Tokens",
  cost: "Cost",
  attempts: "Attempts",
  id: "Chat ID",
};

/** What a stored chat has beside the columns of its row. */
const NO_COLUMNS = new Set(["attempt_log", "created_ms", "state", "content_stored"]);

const cell = (value) => (value === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

export class Panel {
  #root;
  #service;
  #measurement = null;

  /** Fills `root` with the page's template. `service` has the links to traces and rows. */
  constructor(root, service) {
    root.append(document.getElementById("details-template").content.cloneNode(true));
    this.#root = root;
    this.#service = service;
    this.clear();
  }

  clear() {
    this.#measurement = null;
    this.#$("rate-figure").hidden = false;
    this.#badge("", "");
    this.#facts({});
    this.#forget();
    drawRate(this.#$("rate-chart"), null);
  }

  /** Shows the measurements of a chat until it has a row. */
  follow(measurement) {
    this.#measurement = measurement;
    this.#$("rate-figure").hidden = false;
    this.#badge("running", "neutral");
    this.#forget();
    const frame = () => {
      if (this.#measurement !== measurement || !measurement.running) return;
      this.#showMeasurement();
      requestAnimationFrame(frame);
    };
    frame();
  }

  /** Whether the details are those of this chat. */
  shows(measurement) {
    return this.#measurement === measurement;
  }

  /** Shows a chat that has ended. `row` is null if it has none: it was refused, or its row is in the outbox. */
  show(row, measurement = null) {
    this.#measurement = measurement;
    this.#$("rate-figure").hidden = !measurement;
    if (measurement) this.#showMeasurement();
    this.#forget();
    if (row) this.#showRow(row, measurement);
  }

  /** Shows how a chat ended whose row is not known, in a word and a sentence. */
  end(word, className, sentence = "") {
    if (this.#measurement) this.#showMeasurement();
    this.#badge(word, className);
    this.#$("summary").textContent = sentence;
  }

  #showMeasurement() {
    const { times, rate, elapsedMs, id } = this.#measurement;
    drawRate(this.#$("rate-chart"), this.#measurement);
    this.#facts({
      ttft: milliseconds(times[0]),
      rate: perSecond(rate),
      duration: milliseconds(elapsedMs),
      tokens: String(times.length),
      id: id ?? "–",
    });
  }

  #showRow(row, measurement) {
    this.#badge(row.outcome, outcomeClass(row.outcome));
    this.#facts({
      ttft: milliseconds(row.ttft_ms),
      rate: perSecond(outputRate(row)),
      duration: milliseconds(row.duration_ms),
      tokens: row.completion_tokens === null ? "–" : `${row.prompt_tokens} in, ${row.completion_tokens} out`,
      cost: dollars(row.cost_usd),
      attempts: String(row.attempts),
      id: row.id,
    });
    this.#$("summary").textContent = summary(row, measurement);
    renderSteps(this.#$("timeline"), steps(row, measurement));
    this.#$("links").replaceChildren(...this.#links(row));
    const columns = Object.entries(row).filter(([name]) => !NO_COLUMNS.has(name));
    this.#$("columns").replaceChildren(...columns.flatMap(([name, value]) => pair(name, cell(value))));
    this.#$("row").hidden = false;
  }

  /** Links to the trace and the row, by PAGE_TRACE_URL and PAGE_ROW_URL; for a trace file, the command that draws it. */
  #links(row) {
    const filled = (url) => url.replaceAll("{trace_id}", row.trace_id ?? "").replaceAll("{id}", row.id);
    const parts = [];
    if (this.#service.trace_url && row.trace_id) parts.push(link("Trace", filled(this.#service.trace_url)));
    else if (this.#service.trace_file) parts.push("Trace: ", element("code", {}, `make trace ID=${row.id}`));
    if (this.#service.row_url) parts.push(" ", link("Row", filled(this.#service.row_url)));
    return parts;
  }

  #forget() {
    for (const name of ["summary", "timeline", "links"]) this.#$(name).replaceChildren();
    this.#$("row").hidden = true;
  }

  #facts(values) {
    this.#$("facts").replaceChildren(
      ...Object.entries(FACTS).map(([key, name]) => element("div", { className: `fact ${key}` }, ...pair(name, values[key] ?? "–"))),
    );
  }

  #badge(text, className) {
    Object.assign(this.#$("badge"), { textContent: text, className: `badge ${className}` });
  }

  #$(className) {
    return this.#root.querySelector(`.${className}`);
  }
}

const pair = (name, value) => [element("dt", {}, name), element("dd", {}, value)];

const link = (text, href) => element("a", { href, target: "_blank", rel: "noreferrer" }, text);
