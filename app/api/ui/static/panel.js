/** The details of a chat: measured by this page while it runs, and from its row afterwards. */
import { RateChart } from "./rate_chart.js";
import { renderSteps, steps } from "./timeline.js";
import { dollars, milliseconds, outcomeClass } from "./format.js";

const FACTS = {
  ttft: "Time to first token",
  rate: "Output rate",
  duration: "Duration",
  tokens: "Tokens",
  cost: "Cost",
  attempts: "Attempts",
  id: "Chat ID",
};

export class Panel {
  #$;
  #chart;
  #elapsed = null;
  #tokens = 0;
  #firstMs = null;

  constructor($) {
    this.#$ = $;
    this.#chart = new RateChart($("rate-chart"));
    this.#facts({});
  }

  begin(elapsed) {
    [this.#elapsed, this.#tokens, this.#firstMs] = [elapsed, 0, null];
    this.#chart.clear();
    this.#badge("running", "neutral");
    this.#$("timeline").replaceChildren();
    this.#$("links").replaceChildren();
    this.#$("row").hidden = true;
    const frame = () => {
      if (this.#elapsed !== elapsed) return;
      this.#showMeasurements();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  token(ms) {
    this.#tokens += 1;
    this.#firstMs ??= ms;
    this.#chart.add(ms / 1000);
  }

  #showMeasurements() {
    const ms = this.#elapsed();
    this.#chart.draw(ms / 1000);
    this.#facts({
      ttft: milliseconds(this.#firstMs),
      rate: perSecond(this.#chart.mean),
      duration: milliseconds(ms),
      tokens: String(this.#tokens),
    });
  }

  /** Ends the measurement. The row is read next. */
  end(id) {
    if (this.#elapsed) this.#showMeasurements();
    this.#elapsed = null;
    this.#facts({ ...this.#shown, id });
  }

  /** Replaces the measurements by those of the row. */
  showRow(row, receiptMs, service) {
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
    renderSteps(this.#$("timeline"), steps(row, receiptMs));
    this.#links(row, service);
    const columns = Object.entries(row).filter(([name]) => name !== "attempt_log");
    this.#$("columns").replaceChildren(...columns.flatMap(([name, value]) => pair(name, value === null ? "–" : String(value))));
    this.#$("row").hidden = false;
  }

  /** For a chat that was refused, or whose row is in the outbox. Without an id, the request reached no service. */
  showNoRow(id) {
    this.#badge(id ? "no row" : "not sent", "bad");
    if (id) this.showMessage("The database has no row for this chat: it was refused, or its row is in the outbox.");
  }

  showMessage(text) {
    this.#$("links").replaceChildren(text);
  }

  /** Links to the trace and the row, by PAGE_TRACE_URL and PAGE_ROW_URL; for a trace file, the command that draws it. */
  #links(row, service) {
    const filled = (url) => url.replaceAll("{trace_id}", row.trace_id ?? "").replaceAll("{id}", row.id);
    const parts = [];
    if (service.trace_url && row.trace_id) parts.push(link("Trace", filled(service.trace_url)));
    else if (service.trace_file) parts.push(code("make trace"), " draws the trace. ");
    if (service.row_url) parts.push(" ", link("Row", filled(service.row_url)));
    this.#$("links").replaceChildren(...parts);
  }

  #shown = {};

  #facts(values) {
    this.#shown = values;
    this.#$("facts").replaceChildren(...Object.entries(FACTS).map(([key, name]) => fact(key, name, values[key] ?? "–")));
  }

  #badge(text, className) {
    const badge = this.#$("outcome");
    badge.textContent = text;
    badge.className = `badge ${className}`;
  }
}

/** Tokens per second between the first and the last token, as the service measured them; null with fewer than two. */
function outputRate({ ttft_ms: ttft, duration_ms: duration, completion_tokens: tokens }) {
  return ttft !== null && tokens > 1 && duration > ttft ? ((tokens - 1) / (duration - ttft)) * 1000 : null;
}

const perSecond = (rate) => (rate ? `${Math.round(rate)} tokens/s` : "–");

function fact(key, name, value) {
  const box = document.createElement("div");
  box.className = `fact ${key}`;
  box.append(...pair(name, value));
  return box;
}

function pair(name, value) {
  const [term, definition] = [document.createElement("dt"), document.createElement("dd")];
  term.textContent = name;
  definition.textContent = value;
  return [term, definition];
}

function link(text, href) {
  return Object.assign(document.createElement("a"), { textContent: text, href, target: "_blank", rel: "noreferrer" });
}

function code(text) {
  return Object.assign(document.createElement("code"), { textContent: text });
}
