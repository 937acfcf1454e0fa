// One call of OpenAI's own client in Node: `node client.mjs URL KEY RETRIES`, with the call as JSON on stdin, {"chat": body},
// {"models": null}, {"models": id}, {"list": query}, {"retrieve": id} or {"messages": id}. Prints what came, and what was thrown, as JSON.
import { readFileSync } from "node:fs";
import OpenAI from "openai";

const [baseURL, apiKey, retries] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: Number(retries) });
const call = JSON.parse(readFileSync(0, "utf8"));
const came = { chunks: [] };

async function all(pages) {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
}

async function make() {
  if ("models" in call) {
    came.answer = call.models ? await client.models.retrieve(call.models) : (await client.models.list()).data;
  } else if ("list" in call) {
    came.answer = await all(client.chat.completions.list(call.list));
  } else if ("retrieve" in call) {
    came.answer = await client.chat.completions.retrieve(call.retrieve);
  } else if ("messages" in call) {
    came.answer = await all(client.chat.completions.messages.list(call.messages));
  } else if (call.chat.stream) {
    for await (const chunk of await client.chat.completions.create(call.chat)) came.chunks.push(chunk);
  } else {
    came.answer = await client.chat.completions.create(call.chat);
    came.request_id = came.answer._request_id;
  }
}

try {
  await make();
} catch (error) {
  const { status, code, param, message } = error;
  came.error = { kind: error.constructor.name, status, code, param, message, is_of_client: error instanceof OpenAI.APIError };
}
console.log(JSON.stringify(came));
