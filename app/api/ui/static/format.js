/** The format of numbers, and the colours of outcomes. Outcomes have the names of the row, the metrics and the log. */

const known = (value) => value !== null && value !== undefined;

export function milliseconds(ms) {
  if (!known(ms)) return "–";
  if (ms >= 1000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

export const dollars = (amount) => (known(amount) ? `$${amount.toFixed(amount < 0.01 ? 6 : amount < 1 ? 4 : 2)}` : "–");

export const perSecond = (rate) => (rate ? `${Math.round(rate).toLocaleString("en")} tokens/s` : "–");

export const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** Tokens per second between the first and the last token, as the service measured them; null with fewer than two. */
export function outputRate({ ttft_ms: ttft, duration_ms: duration, completion_tokens: tokens }) {
  return known(ttft) && tokens > 1 && duration > ttft ? ((tokens - 1) / (duration - ttft)) * 1000 : null;
}

const NEUTRAL = new Set(["running", "client_disconnected", "client_stalled", "upstream_rejected", "draining"]);

/** The CSS class of an outcome. `neutral` is for outcomes that the client or a drain caused. */
export const outcomeClass = (outcome) => (outcome === "completed" ? "good" : NEUTRAL.has(outcome) ? "neutral" : "bad");

/** The local time; with the date, unless it is today's. */
export function clock(ms) {
  const moment = new Date(ms);
  const time = moment.toLocaleTimeString("en-GB");
  return moment.toDateString() === new Date().toDateString() ? time : `${moment.toLocaleDateString("en-CA")} ${time}`;
}
