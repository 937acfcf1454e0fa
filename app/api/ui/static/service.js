/** The requests that the page sends to its service. */
import { EventParser } from "./sse.js";

/**
 * An error whose message is shown to the user. `id` is the chat's id, if the service sent one. `disconnected`: the
 * connection broke before the end.
 */
export class Failure extends Error {
  constructor(message, { id = null, status = null, disconnected = false } = {}) {
    super(message);
    Object.assign(this, { id, status, disconnected });
  }
}

const STORED = "/v1/chat/completions";
const PAGE_SIZE = 100;
const RUNNING_POLL_MS = 500;

async function send(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The service cannot be reached.");
  }
}

const pause = (ms) => new Promise((resume) => setTimeout(resume, ms));

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

/**
 * The row of a chat that has ended, without its content, once it is stored; null if there is none after three seconds.
 * Throws a Failure if rows cannot be read.
 */
export async function rowOnceStored(id, key) {
  const read = async () => (await call(`/page/chats/${id}`, { headers: headers(key) })).json();
  for (const waitMs of [0, 50, 100, 200, 400, 800]) {
    await pause(waitMs);
    const row = await read().catch(() => null);
    if (row) return row;
  }
  await pause(1600);
  return read();
}

/** A page of stored chats, newest first: {rows, hasMore}. Filters that are empty do not apply. */
export async function listChats({ outcome, model, error, endUser, after }, key) {
  const page = await list({ outcome, model, error_code: error, end_user: endUser, after }, key);
  return { rows: page.data.map(rowOf), hasMore: page.has_more };
}

/** The running chats of the worker that answers, newest first, with the names of a row; and which worker it is. */
export async function listRunning(key) {
  const page = await list({ state: "running" }, key);
  const running = ({ age_ms, tokens }) => ({ outcome: "running", duration_ms: age_ms, completion_tokens: tokens });
  const rows = page.data.map(rowOf).map((row) => ({ ...row, ...running(row) }));
  return { rows, worker: page.x_chat.worker, workers: page.x_chat.workers };
}

async function list(filters, key) {
  const given = Object.entries({ limit: PAGE_SIZE, order: "desc", ...filters }).filter(([, value]) => value);
  return (await call(`${STORED}?${new URLSearchParams(given)}`, { headers: headers(key) })).json();
}

/**
 * A stored chat: {row, answer, messages}; each message has a role, a text, and reasoning or none. Throws a Failure, with
 * status 409 if the chat runs.
 */
export async function readChat(id, key) {
  const paths = [`${STORED}/${id}`, `${STORED}/${id}/messages?order=desc&limit=${PAGE_SIZE}`];
  const [stored, asked] = await Promise.all(paths.map(async (path) => (await call(path, { headers: headers(key) })).json()));
  const answer = stored.choices[0].message;
  const shown = (message) => ({ role: message.role, text: textOf(message), reasoning: message.reasoning });
  const messages = [...asked.data.reverse(), answer].map(shown); // the last PAGE_SIZE of them
  return { row: rowOf(stored), answer, messages: stored.x_chat.content_stored ? messages : [] };
}

/** The same, once the chat has ended and its row is stored. */
export async function readWhenStored(id, key, signal) {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await readChat(id, key);
    } catch (error) {
      if (error.status !== 409) throw error;
    }
    await pause(RUNNING_POLL_MS);
  }
}

const rowOf = ({ x_chat: row }) => ({ ...row, created_ms: Date.parse(row.created_at) });

/** Parts that are not a text, such as tool calls, are shown as JSON. */
function textOf({ content, content_parts: parts, refusal, tool_calls: calls }) {
  const others = [parts, calls].filter(Boolean).map((each) => JSON.stringify(each, null, 2));
  return [content, refusal, ...others].filter(Boolean).join("\n\n");
}

/**
 * Sends a chat; one that `continues` is finished without the page. Yields {id} when its answer begins, {text, reasoning}
 * for each event, and {done: true} for the receipt.
 * Throws a Failure for an error of the service, and for an answer that ends without a receipt.
 */
export async function* chat(request, { key, signal, continues }) {
  const response = await send("/api/v1/chat/stream", {
    method: "POST",
    headers: { ...headers(key), "x-continue-on-disconnect": String(continues) },
    body: JSON.stringify(request),
    signal,
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
      throw new Failure("The connection to the service broke.", { id, disconnected: true });
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
