/** What happened to a chat: as this page sees it while it runs, and as its row tells it afterwards. */
import { Curve } from "./curve.js";
import { draw, steps } from "./timeline.js";
import { dollars, kindOf, milliseconds } from "./words.js";

const FACTS = {
  first: "First token",
  speed: "Speed",
  total: "Whole chat",
  tokens: "Tokens",
  cost: "Cost",
  attempts: "Attempts",
  id: "Chat",
};

export class Panel {
  #$;
  #curve;
  #elapsed = null;
  #tokens = 0;
  #firstMs = null;

  constructor($) {
    this.#$ = $;
    this.#curve = new Curve($("curve"));
    this.#facts({});
  }

  begin(elapsed) {
    [this.#elapsed, this.#tokens, this.#firstMs] = [elapsed, 0, null];
    this.#curve.clear();
    this.#badge("running", "own");
    this.#$("timeline").replaceChildren();
    this.#$("links").replaceChildren();
    this.#$("row").hidden = true;
    const frame = () => {
      if (this.#elapsed !== elapsed) return;
      this.#live();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  token(ms) {
    this.#tokens += 1;
    this.#firstMs ??= ms;
    this.#curve.add(ms / 1000);
  }

  #live() {
    const ms = this.#elapsed();
    this.#curve.draw(ms / 1000);
    this.#facts({
      first: milliseconds(this.#firstMs),
      speed: speed(this.#curve.mean),
      total: milliseconds(ms),
      tokens: String(this.#tokens),
    });
  }

  /** The stream is over; the row is being asked for. */
  end(id) {
    if (this.#elapsed) this.#live();
    this.#elapsed = null;
    this.#facts({ ...this.#shown, id });
  }

  /** The row has it all. */
  tell(row, receiptMs, service) {
    this.#badge(row.outcome, kindOf(row.outcome));
    this.#facts({
      first: milliseconds(row.ttft_ms),
      speed: speed(pace(row)),
      total: milliseconds(row.duration_ms),
      tokens: row.completion_tokens === null ? "–" : `${row.prompt_tokens} in, ${row.completion_tokens} out`,
      cost: dollars(row.cost_usd),
      attempts: String(row.attempts),
      id: row.id,
    });
    draw(this.#$("timeline"), steps(row, receiptMs));
    this.#links(row, service);
    const cells = Object.entries(row).filter(([name]) => name !== "attempt_log");
    this.#$("columns").replaceChildren(...cells.flatMap(([name, value]) => pair(name, value === null ? "–" : String(value))));
    this.#$("row").hidden = false;
  }

  /** There is no row: it was refused at the door, or its row waits for the database. */
  nothing(id) {
    this.#badge(id ? "no row" : "not sent", "bad");
    if (id) this.say("The database has no row of it: it was refused before it began, or its row waits for the database.");
  }

  say(sentence) {
    this.#$("links").replaceChildren(sentence);
  }

  /** To its trace and its row, where somebody said where those are shown; in a terminal, where traces are in a file. */
  #links(row, service) {
    const filled = (url) => url.replaceAll("{trace_id}", row.trace_id ?? "").replaceAll("{id}", row.id);
    const parts = [];
    if (service.trace_url && row.trace_id) parts.push(link("Its trace", filled(service.trace_url)));
    else if (service.trace_file) parts.push(code("make trace"), " draws its trace. ");
    if (service.row_url) parts.push(" ", link("Its row", filled(service.row_url)));
    this.#$("links").replaceChildren(...parts);
  }

  #shown = {};

  #facts(values) {
    this.#shown = values;
    this.#$("facts").replaceChildren(...Object.entries(FACTS).map(([key, name]) => fact(key, name, values[key] ?? "–")));
  }

  #badge(text, kind) {
    const badge = this.#$("outcome");
    badge.textContent = text;
    badge.className = `badge ${kind}`;
  }
}

/** Tokens a second from the first to the last one, as the service saw them; null where there are no two. */
function pace({ ttft_ms: ttft, duration_ms: duration, completion_tokens: tokens }) {
  return ttft !== null && tokens > 1 && duration > ttft ? ((tokens - 1) / (duration - ttft)) * 1000 : null;
}

const speed = (perSecond) => (perSecond ? `${Math.round(perSecond)} tokens/s` : "–");

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
