/** What this page measures of one chat, in milliseconds since it sent the request. */
const STALL_MS = 1000;

export class Measurement {
  /** When each token arrived. */
  times = [];
  /** From the last event before the receipt to the receipt; null without one. */
  receiptMs = null;
  id = null;
  row = null;
  #started = performance.now();
  #lastMs = 0;
  #endedMs = null;

  get elapsedMs() {
    return this.#endedMs ?? performance.now() - this.#started;
  }

  get running() {
    return this.#endedMs === null;
  }

  event(isToken) {
    this.#lastMs = this.elapsedMs;
    if (isToken) this.times.push(this.#lastMs);
  }

  receipt() {
    this.receiptMs = this.elapsedMs - this.#lastMs;
  }

  end() {
    this.#endedMs ??= this.elapsedMs;
  }

  /** Tokens per second between the first and the last token; null with fewer than two. */
  get rate() {
    const span = this.times.at(-1) - this.times[0];
    return span > 0 ? ((this.times.length - 1) / span) * 1000 : null;
  }

  /** Waits of a second or more after the first token, as the trace has them: [{from, to}]. The receipt waits for the row. */
  get stalls() {
    const moments = [...this.times, this.elapsedMs - (this.receiptMs ?? 0)];
    return moments
      .map((to, index) => ({ from: moments[index - 1] ?? to, to }))
      .filter(({ from, to }) => to - from >= STALL_MS);
  }
}
