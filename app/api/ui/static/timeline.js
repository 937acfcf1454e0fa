/** The timeline of a chat, in milliseconds since its request arrived, and what happened in sentences. */
import { element } from "./dom.js";
import { counted, milliseconds } from "./format.js";

/**
 * Returns the steps as [{name, kind, from, to, note}]; an instant has equal `from` and `to`. A measurement of this page
 * adds the stalls and the receipt; without one, of a chat that was read from the database, they are unknown.
 */
export function steps(row, measurement = null) {
  const result = [mark("Admitted", row.queue_ms, row.queue_ms < 1 ? "immediately" : `after ${milliseconds(row.queue_ms)}`)];
  let previous = null;
  for (const [index, attempt] of (row.attempt_log ?? []).entries()) {
    if (previous) result.push(period("Wait", "wait", previous.ended_ms, attempt.started_ms));
    const kind = attempt.result === "ok" ? "good" : "bad";
    const note = [attempt.status, kind === "bad" && attempt.result].filter(Boolean).join(" · ");
    result.push({ name: `Attempt ${index + 1}`, kind, from: attempt.started_ms, to: attempt.ended_ms, note });
    previous = attempt;
  }
  if (row.ttft_ms !== null) {
    result.push(mark("First token", row.ttft_ms, milliseconds(row.ttft_ms)));
    const note = `${row.completion_tokens ?? "?"} tokens in ${milliseconds(row.duration_ms - row.ttft_ms)}`;
    result.push({ name: "Stream", kind: "stream", from: row.ttft_ms, to: row.duration_ms, note });
  }
  for (const { from, to } of measurement?.stalls ?? []) {
    result.push(period("Silence", "wait", from, Math.min(to, row.duration_ms)));
  }
  if (row.outcome !== "completed") result.push({ ...mark("Ended", row.duration_ms, row.outcome), kind: "bad-mark" });
  if (measurement) result.push(committed(row.duration_ms, measurement.receiptMs));
  return result;
}

const mark = (name, at, note) => ({ name, kind: "mark", from: at, to: at, note });
const period = (name, kind, from, to) => ({ name, kind, from, to, note: milliseconds(to - from) });

function committed(from, receiptMs) {
  if (receiptMs === null) return { name: "Committed", kind: "none", from, to: from, note: "row stored, no [DONE]" };
  const note = receiptMs < 1 ? "[DONE] immediately" : `[DONE] ${milliseconds(receiptMs)} later`;
  return { name: "Committed", kind: "good", from, to: from + receiptMs, note };
}

const ENDINGS = {
  completed: "The answer is complete, and its row is stored.",
  client_disconnected: "The client disconnected, so the request to Groq was cancelled.",
  client_stalled: "The client accepted no more data.",
  upstream_error: "Groq failed.",
  upstream_timeout: "Groq sent nothing for too long.",
  upstream_rate_limited: "Groq's rate limit was reached.",
  upstream_rejected: "Groq refused the request.",
  draining: "The server stopped before the answer was complete.",
  internal_error: "The service failed; its log has the error.",
};

/** What happened, for a reader who does not know the names of outcomes. */
export function summary(row, measurement = null) {
  const failed = (row.attempt_log ?? []).filter(({ result }) => result !== "ok");
  const repeated = Math.min(failed.length, row.attempts - 1);
  const causes = failed.slice(0, repeated).map(({ status, result }) => status ?? result).join(", ");
  const interrupted = row.outcome.startsWith("upstream_") && row.ttft_ms !== null;
  return [
    repeated > 0 && `${counted(repeated, "attempt")} failed (${causes}) before the first token, so the request was repeated.`,
    ...(measurement?.stalls ?? []).map(({ from, to }) => `Groq sent nothing for ${milliseconds(to - from)}.`),
    interrupted
      ? "The stream broke after text was sent, so it was not repeated: the client received an error, and no [DONE]."
      : ENDINGS[row.outcome],
  ].filter(Boolean).join(" ");
}

/** Renders the steps into `list`: each has a name, a bar or a mark on a track, and a note. */
export function renderSteps(list, allSteps) {
  const totalMs = Math.max(...allSteps.map((step) => step.to), 1);
  list.replaceChildren(...allSteps.map((step) => listItem(step, totalMs)));
}

function listItem(step, totalMs) {
  const bar = element("span", { className: `bar ${step.kind}` });
  bar.style.left = `${(step.from / totalMs) * 100}%`;
  bar.style.width = `${((step.to - step.from) / totalMs) * 100}%`;
  const track = element("span", { className: "track", ariaHidden: "true" }, bar);
  const [name, note] = ["name", "note"].map((key) => element("span", { className: key }, step[key]));
  return element("li", {}, name, note, track);
}
