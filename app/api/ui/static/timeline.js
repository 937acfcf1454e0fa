/** One chat's steps, in milliseconds from its beginning. */
import { milliseconds } from "./words.js";

/**
 * [{name, kind, from, to, note}]; `to` equals `from` for what takes no time. `receiptMs` is how long after the last event
 * the receipt came; null where there was none.
 */
export function steps(row, receiptMs) {
  const found = [{ name: "Admitted", kind: "mark", from: row.queue_ms, to: row.queue_ms, note: waited(row.queue_ms) }];
  let before = null;
  for (const [index, attempt] of (row.attempt_log ?? []).entries()) {
    if (before) {
      const note = milliseconds(attempt.started_ms - before.ended_ms);
      found.push({ name: "Wait", kind: "wait", from: before.ended_ms, to: attempt.started_ms, note });
    }
    const kind = attempt.result === "ok" ? "good" : "bad";
    const note = [attempt.status, kind === "bad" && attempt.result].filter(Boolean).join(" · ");
    found.push({ name: `Attempt ${index + 1}`, kind, from: attempt.started_ms, to: attempt.ended_ms, note });
    before = attempt;
  }
  if (row.ttft_ms !== null) {
    found.push({ name: "First token", kind: "mark", from: row.ttft_ms, to: row.ttft_ms, note: milliseconds(row.ttft_ms) });
    const note = `${row.completion_tokens ?? "?"} tokens in ${milliseconds(row.duration_ms - row.ttft_ms)}`;
    found.push({ name: "Stream", kind: "stream", from: row.ttft_ms, to: row.duration_ms, note });
  }
  if (row.outcome !== "completed") {
    found.push({ name: "Ended", kind: "bad-mark", from: row.duration_ms, to: row.duration_ms, note: row.outcome });
  }
  if (receiptMs !== null) {
    const to = row.duration_ms + receiptMs;
    found.push({ name: "Committed", kind: "good", from: row.duration_ms, to, note: receiptMs < 1 ? "[DONE] at once" : `[DONE] ${milliseconds(receiptMs)} later` });
  } else {
    found.push({ name: "Committed", kind: "none", from: row.duration_ms, to: row.duration_ms, note: "the row is kept" });
  }
  return found;
}

const waited = (ms) => (ms < 1 ? "at once" : `after ${milliseconds(ms)}`);

/** Draws them into a list: each is a name, a track with a bar or a mark, and a note. */
export function draw(list, found) {
  const whole = Math.max(...found.map((step) => step.to), 1);
  list.replaceChildren(...found.map((step) => item(step, whole)));
}

function item(step, whole) {
  const [name, track, bar, note] = ["span", "span", "span", "span"].map((tag) => document.createElement(tag));
  name.className = "name";
  name.textContent = step.name;
  track.className = "track";
  track.ariaHidden = "true";
  bar.className = `bar ${step.kind}`;
  bar.style.left = `${(step.from / whole) * 100}%`;
  bar.style.width = `${((step.to - step.from) / whole) * 100}%`;
  track.append(bar);
  note.className = "note";
  note.textContent = step.note;
  const line = document.createElement("li");
  line.append(name, note, track);
  return line;
}
