/** The requests that the page sends to its service. */
import { EventParser } from "./sse.js";

/** An error whose message is shown to the user. `id` is the chat's id, if the service sent one. */
export class Failure extends Error {
  constructor(message, { id = null, status = null } = {}) {
    super(message);
    this.id = id;
    this.status = status;
  }
}

async function send(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The service cannot be reached.");
  }
}

const headers = (key) => ({ "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) });

/** Sends a request that is not a chat. Throws a Failure for an error of the service. */
async function call(path, options) {
  const response = await send(path, options);
  if (!response.ok) throw new Failure(await errorMessage(response), { status: response.status });
  return response;
}

/** The models, whether Groq is simulated and how fast, whether a key is needed, and the links to traces and rows. */
export const about = async () => (await call("/page/about")).json();

/** Injects a fault into the next chat. */
export const injectFault = (fault, key) => call(`/page/faults/${fault}`, { method: "PUT", headers: headers(key) });

/** The row of a chat without its content; null if there is none. */
export const row = async (id, key) => (await call(`/page/chats/${id}`, { headers: headers(key) })).json();

/**
 * Sends a chat. Yields {id} when its answer begins, {text, reasoning} for each event, and {done: true} for the receipt.
 * Throws a Failure for an error of the service, and for an answer that ends without a receipt.
 */
export async function* chat(request, { key, signal }) {
  const response = await send("/api/v1/chat/stream", {
    method: "POST", headers: headers(key), body: JSON.stringify(request), signal,
  });
  const id = response.headers.get("x-request-id");
  if (!response.ok) throw new Failure(await errorMessage(response), { id, status: response.status });
  yield { id };
  for await (const { name, data } of events(response.body, id)) {
    if (name === "error") throw new Failure(JSON.parse(data).error.message, { id });
    if (data === "[DONE]") {
      yield { done: true };
      return;
    }
    const delta = JSON.parse(data).choices?.[0]?.delta ?? {};
    yield { text: delta.content ?? "", reasoning: delta.reasoning ?? "" };
  }
  throw new Failure("The answer ended without a receipt.", { id });
}

async function* events(body, id) {
  const parser = new EventParser();
  const chunks = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    let chunk;
    try {
      chunk = await chunks.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Failure("The connection to the service broke.", { id });
    }
    if (chunk.done) return;
    yield* parser.read(chunk.value);
  }
}

async function errorMessage(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `The service answered with status ${response.status}.`;
  }
}
