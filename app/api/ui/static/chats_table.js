/** The rows of the table of chats, newest first. */
import { element } from "./dom.js";
import { clock, dollars, milliseconds, outcomeClass, outputRate } from "./format.js";

const COLUMNS = {
  Time: (row) => {
    const dateTime = new Date(row.created_ms).toISOString();
    return element("a", { href: `#chats/${row.id}` }, element("time", { dateTime }, clock(row.created_ms)));
  },
  Model: (row) => row.model_name,
  Outcome: (row) => {
    const outcome = element("span", { className: outcomeClass(row.outcome) }, row.outcome);
    return [outcome, row.error_code && ` ${row.error_code}`];
  },
  "First token": (row) => milliseconds(row.ttft_ms),
  "Tokens/s": (row) => Math.round(outputRate(row)) || "–",
  Tokens: (row) => row.completion_tokens?.toLocaleString("en") ?? "–",
  Cost: (row) => dollars(row.cost_usd),
  Attempts: (row) => row.attempts,
};

export class ChatsTable {
  #body;
  #shown = new Map();

  constructor(table) {
    table.tHead.rows[0].append(...Object.keys(COLUMNS).map((name) => element("th", { scope: "col" }, name)));
    this.#body = table.tBodies[0];
    this.#body.addEventListener("click", (event) => {
      if (!event.target.closest("a")) event.target.closest("tr")?.querySelector("a")?.click();
    });
    this.#body.addEventListener("keydown", (event) => this.#onKeyDown(event));
  }

  /** Shows the rows in this order. Those that are shown already and have not changed stay, and keep the focus. */
  render(rows) {
    const before = this.#shown;
    this.#shown = new Map();
    let previous = null;
    for (const row of rows) {
      const text = JSON.stringify(row);
      const current = before.get(row.id);
      const line = current?.text === text ? current.line : lineOf(row);
      before.delete(row.id);
      if (current && current.line !== line) current.line.replaceWith(line);
      const next = previous ? previous.nextSibling : this.#body.firstChild;
      if (next !== line) this.#body.insertBefore(line, next);
      this.#shown.set(row.id, { text, line });
      previous = line;
    }
    for (const { line } of before.values()) line.remove();
  }

  /** The arrow keys move between rows. */
  #onKeyDown(event) {
    const line = event.target.closest("tr");
    const other = { ArrowDown: line?.nextSibling, ArrowUp: line?.previousSibling }[event.key];
    if (!other) return;
    event.preventDefault();
    other.querySelector("a").focus();
  }
}

function lineOf(row) {
  const cells = Object.entries(COLUMNS).map(([name, cell]) => {
    const parts = [cell(row)].flat().filter((part) => part !== null && part !== undefined);
    return element("td", { data: { label: name } }, ...parts);
  });
  return element("tr", {}, ...cells);
}
