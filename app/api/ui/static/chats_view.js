/** The view Chats: the stored chats, newest first, with filters, tiles, and the conversation of one chat. */
import { renderTiles } from "./chat_charts.js";
import { ChatsTable } from "./chats_table.js";
import { clock, counted } from "./format.js";
import { listChats, listRunning } from "./service.js";

/** The maximum number of rows behind the newest page, beside those that the button loads. */
const MAX_OLDER_ROWS = 500;
const POLL_MS = 2000;

export class ChatsView {
  #$;
  #key;
  #table;
  #rows = [];
  #hasMore = false;
  #loadedRows = 0; // by the button
  #refused = false;
  #query = 0;
  #timer = null;

  constructor($, service, key) {
    this.#$ = $;
    this.#key = key;
    this.#table = new ChatsTable($("chats-table"));
    $("filter-model").append(...service.models.map((name) => new Option(name)));
    for (const event of ["change", "submit"]) $("filters").addEventListener(event, (each) => this.#filter(each));
    $("older").addEventListener("click", () => this.#loadOlder());
    document.addEventListener("visibilitychange", () => this.poll());
    new ResizeObserver(() => renderTiles($("tiles"), this.#rows)).observe($("tiles"));
  }

  get #isOpen() {
    return !this.#$("chats-view").hidden && !document.hidden;
  }

  /** Reads the newest chats, and again every POLL_MS while the view is open. */
  async poll() {
    clearTimeout(this.#timer);
    if (!this.#isOpen || !this.#key.ready()) return;
    const query = this.#query;
    const page = await this.#read(() => this.#newest());
    if (query !== this.#query) return;
    if (page) this.#merge(page);
    if (!this.#refused) this.#timer = setTimeout(() => this.poll(), POLL_MS);
  }

  #filter(event) {
    event.preventDefault();
    this.#rows = [];
    this.#loadedRows = 0;
    this.#query += 1;
    this.poll();
  }

  async #loadOlder() {
    const [query, after, button] = [this.#query, this.#rows.at(-1)?.id, this.#$("older")];
    if (!after) return;
    button.disabled = true;
    const page = await this.#read(() => listChats({ ...this.#filters, after }, this.#key.value));
    button.disabled = false;
    if (!page || query !== this.#query || this.#rows.at(-1)?.id !== after) return;
    this.#rows.push(...page.rows);
    this.#loadedRows += page.rows.length;
    this.#hasMore = page.hasMore;
    this.#render();
  }

  get #filters() {
    const value = (name) => this.#$(`filter-${name}`).value.trim();
    return { outcome: value("outcome"), model: value("model"), error: value("error"), endUser: value("user") };
  }

  /** The running chats, and the newest stored ones. Outcome, error and end user are those of stored chats. */
  async #newest() {
    const filters = this.#filters;
    const [stored, running] = await Promise.all([listChats(filters, this.#key.value), listRunning(this.#key.value)]);
    const ids = new Set(stored.rows.map((row) => row.id));
    const onlyStored = filters.outcome || filters.error || filters.endUser;
    const matches = (row) => !onlyStored && !ids.has(row.id) && (!filters.model || row.model_name === filters.model);
    const rows = running.rows.filter(matches);
    const where = running.workers > 1 ? ` on worker ${running.worker}, one of ${running.workers}` : "";
    this.#say(`Live ${clock(Date.now())} · ${running.rows.length} running${where}`);
    return { rows: [...rows, ...stored.rows], hasMore: stored.hasMore };
  }

  /** What `reading` returns; null if it fails, which is shown. */
  async #read(reading) {
    try {
      const page = await reading();
      this.#refused = false;
      return page;
    } catch (error) {
      this.#refused = error.status === 401;
      if (this.#refused) this.#key.ask("The service refused this key. Correct it, then press Enter.");
      this.#say(error.message, "error");
      return null;
    }
  }

  /** Puts the newest page before the older rows, up to their maximum; drops these if rows between them are missing. */
  #merge({ rows, hasMore }) {
    const fresh = new Set(rows.map((row) => row.id));
    const last = rows.at(-1)?.id ?? "";
    const older = this.#rows.filter((row) => row.outcome !== "running" && !fresh.has(row.id) && row.id < last);
    const overlaps = this.#rows.some((row) => row.outcome !== "running" && fresh.has(row.id));
    const shown = overlaps ? older.slice(0, MAX_OLDER_ROWS + this.#loadedRows) : [];
    if (shown.length < older.length) this.#hasMore = true;
    else if (!shown.length) this.#hasMore = hasMore;
    this.#rows = [...rows, ...shown];
    if (!overlaps) this.#loadedRows = 0;
    this.#render();
  }

  #render() {
    this.#table.render(this.#rows);
    renderTiles(this.#$("tiles"), this.#rows);
    const codes = new Set(this.#rows.map((row) => row.error_code).filter(Boolean));
    this.#$("errors").replaceChildren(...[...codes].map((code) => new Option(code)));
    this.#$("older").hidden = !this.#hasMore;
    this.#$("chats-count").textContent = this.#rows.length ? counted(this.#rows.length, "chat") : "No chats.";
  }

  #say(text, className = "") {
    Object.assign(this.#$("live"), { textContent: text, className, ariaLive: className ? "polite" : "off" });
  }
}
