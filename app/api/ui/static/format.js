/** The format of numbers, and the colours of outcomes. Outcomes have the names of the row, the metrics and the log. */

export const milliseconds = (ms) =>
  ms === null || ms === undefined ? "–" : ms < 10 ? `${ms.toFixed(1)} ms` : ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;

export const dollars = (amount) => (amount === null ? "–" : `$${amount.toFixed(6)}`);

const NEUTRAL = new Set(["client_disconnected", "client_stalled", "upstream_rejected", "draining"]);

/** The CSS class of an outcome. `neutral` is for outcomes that the client or a drain caused. */
export const outcomeClass = (outcome) => (outcome === "completed" ? "good" : NEUTRAL.has(outcome) ? "neutral" : "bad");
