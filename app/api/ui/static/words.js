/** How numbers are written, and outcomes coloured. Outcomes keep their words: those of the row, the metrics and the log. */

export const milliseconds = (ms) =>
  ms === null || ms === undefined ? "–" : ms < 10 ? `${ms.toFixed(1)} ms` : ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;

export const dollars = (amount) => (amount === null ? "–" : `$${amount.toFixed(6)}`);

const GOOD = new Set(["completed"]);
const CALLERS = new Set(["client_disconnected", "client_stalled", "upstream_rejected", "draining"]);

/** Whether it went well, was the caller's own doing, or is somebody's failure. */
export const kindOf = (outcome) => (GOOD.has(outcome) ? "good" : CALLERS.has(outcome) ? "own" : "bad");
