/** The timeline of a chat, in milliseconds since its request arrived. */
import { milliseconds } from "./format.js";

/**
 * Returns the steps as [{name, kind, from, to, note}]; an instant has equal `from` and `to`. `receiptMs` is the time from
 * the last event to the receipt, or null without a receipt.
 */
export function steps(row, receiptMs) {
  const result = [{ name: "Admitted", kind: "mark", from: row.queue_ms, to: row.queue_ms, note: admittedNote(row.queue_ms) }];
  let previous = null;
  for (const [index, attempt] of (row.attempt_log ?? []).entries()) {
    if (previous) {
      const note = milliseconds(attempt.started_ms - previous.ended_ms);
      result.push({ name: "Wait", kind: "wait", from: previous.ended_ms, to: attempt.started_ms, note });
    }
    const kind = attempt.result === "ok" ? "good" : "bad";
    const note = [attempt.status, kind === "bad" && attempt.result].filter(Boolean).join(" · ");
    result.push({ name: `Attempt ${index + 1}`, kind, from: attempt.started_ms, to: attempt.ended_ms, note });
    previous = attempt;
  }
  if (row.ttft_ms !== null) {
    result.push({ name: "First token", kind: "mark", from: row.ttft_ms, to: row.ttft_ms, note: milliseconds(row.ttft_ms) });
    const note = `${row.completion_tokens ?? "?"} tokens in ${milliseconds(row.duration_ms - row.ttft_ms)}`;
    result.push({ name: "Stream", kind: "stream", from: row.ttft_ms, to: row.duration_ms, note });
  }
  if (row.outcome !== "completed") {
    result.push({ name: "Ended", kind: "bad-mark", from: row.duration_ms, to: row.duration_ms, note: row.outcome });
  }
  if (receiptMs !== null) {
    const to = row.duration_ms + receiptMs;
    result.push({ name: "Committed", kind: "good", from: row.duration_ms, to, note: receiptMs < 1 ? "[DONE] immediately" : `[DONE] ${milliseconds(receiptMs)} later` });
  } else {
    result.push({ name: "Committed", kind: "none", from: row.duration_ms, to: row.duration_ms, note: "row stored, no [DONE]" });
  }
  return result;
}

const admittedNote = (ms) => (ms < 1 ? "immediately" : `after ${milliseconds(ms)}`);

/** Renders the steps into `list`: each has a name, a bar or a mark on a track, and a note. */
export function renderSteps(list, allSteps) {
  const totalMs = Math.max(...allSteps.map((step) => step.to), 1);
  list.replaceChildren(...allSteps.map((step) => listItem(step, totalMs)));
}

function listItem(step, totalMs) {
  const [name, track, bar, note] = ["span", "span", "span", "span"].map((tag) => document.createElement(tag));
  name.className = "name";
  name.textContent = step.name;
  track.className = "track";
  track.ariaHidden = "true";
  bar.className = `bar ${step.kind}`;
  bar.style.left = `${(step.from / totalMs) * 100}%`;
  bar.style.width = `${((step.to - step.from) / totalMs) * 100}%`;
  track.append(bar);
  note.className = "note";
  note.textContent = step.note;
  const line = document.createElement("li");
  line.append(name, note, track);
  return line;
}
