/** What the page asks of its service. Nothing here knows the page. */
import { EventReader } from "./sse.js";

/** A failure with a sentence for people; `id` is the chat's, if it got one. */
export class Failure extends Error {
  constructor(message, { id = null, status = null } = {}) {
    super(message);
    this.id = id;
    this.status = status;
  }
}

async function fetched(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The service cannot be reached. Is it still running?");
  }
}

const headers = (key) => ({ "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) });

/** Which models there are, whether a simulator answers, whether a key is needed, and where traces and rows are shown. */
export const about = async () => (await fetched("/page/about")).json();

/** Makes the simulator fail in this way, for the next chat. */
export async function breakNext(fault, key) {
  const answer = await fetched(`/page/faults/${fault}`, { method: "PUT", headers: headers(key) });
  if (!answer.ok) throw new Failure(await sentence(answer));
}

/** The chat's row, without what was said in it; null while there is none. */
export async function row(id, key) {
  const answer = await fetched(`/page/chats/${id}`, { headers: headers(key) });
  if (!answer.ok) throw new Failure(await sentence(answer));
  return answer.json();
}

/**
 * One chat: yields {id} when its answer begins, {text, thought} for each event, and {done: true} for the receipt.
 * Throws a Failure where the service says why, or where the answer ends without a receipt.
 */
export async function* chat(request, { key, signal }) {
  const answer = await fetched("/api/v1/chat/stream", {
    method: "POST", headers: headers(key), body: JSON.stringify(request), signal,
  });
  const id = answer.headers.get("x-request-id");
  if (!answer.ok) throw new Failure(await sentence(answer), { id, status: answer.status });
  yield { id };
  for await (const { name, data } of events(answer.body, id)) {
    if (name === "error") throw new Failure(JSON.parse(data).error.message, { id });
    if (data === "[DONE]") {
      yield { done: true };
      return;
    }
    const delta = JSON.parse(data).choices?.[0]?.delta ?? {};
    yield { text: delta.content ?? "", thought: delta.reasoning ?? "" };
  }
  throw new Failure("The answer ended without a receipt.", { id });
}

async function* events(body, id) {
  const reader = new EventReader();
  const pieces = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    let piece;
    try {
      piece = await pieces.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Failure("The connection to the service broke.", { id });
    }
    if (piece.done) return;
    yield* reader.read(piece.value);
  }
}

async function sentence(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `The service answered with ${answer.status}.`;
  }
}
