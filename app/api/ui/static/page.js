/** The page: a person asks, the answer grows, and what happened to it is told beside. */
import { Conversation } from "./conversation.js";
import { Panel } from "./panel.js";
import { Failure, about, breakNext, chat, row } from "./service.js";

const $ = (id) => document.getElementById(id);
const EXAMPLE = "Why is the sky blue?";
const FAULTS = {
  unavailable: "503 twice, then well",
  limited: "Rate limit",
  cut: "Cut mid-stream",
  silent: "Silence",
};

const conversation = new Conversation($("log"), $("empty"));
const panel = new Panel($);
let running = null;
let service = null;

/** One chat, from the question to its row. */
async function ask(question) {
  const answer = conversation.ask(question);
  const stop = (running = new AbortController());
  const began = performance.now();
  const elapsed = () => performance.now() - began;
  let id = null;
  let lastMs = 0;
  let receiptMs = null;
  busy(true);
  panel.begin(elapsed);
  try {
    const request = { model: $("model").value, messages: conversation.messages };
    for await (const piece of chat(request, { key: $("key").value, signal: stop.signal })) {
      id ??= piece.id;
      if (piece.done) receiptMs = elapsed() - lastMs;
      lastMs = elapsed();
      if (piece.text || piece.thought) {
        answer.grow(piece);
        panel.token(lastMs);
      }
    }
    answer.end();
  } catch (error) {
    id ??= error.id ?? null;
    answer.end(error.name === "AbortError" ? "You stopped it." : sentence(error));
    if (error.status === 401) $("key").focus();
  } finally {
    running = null;
    busy(false);
    await tell(id, receiptMs);
  }
}

/** What the service knows of it. A chat that was stopped has its row a moment later. */
async function tell(id, receiptMs) {
  panel.end(id);
  for (const wait of id ? [0, 50, 100, 200, 400, 800, 1600] : []) {
    await new Promise((resume) => setTimeout(resume, wait));
    if (running) return; // the next one has begun
    const found = await row(id, $("key").value).catch(() => null);
    if (found) {
      panel.tell(found, receiptMs, service);
      return;
    }
  }
  panel.nothing(id);
}

/** A failure's own words; whatever else it is, is a bug of this page. */
function sentence(error) {
  if (!(error instanceof Failure)) console.error(error);
  return error instanceof Failure ? error.message : "This page failed; the browser's console says where.";
}

function busy(is) {
  $("log").ariaBusy = String(is);
  $("send").disabled = is;
  $("stop").hidden = !is;
  for (const button of $("faults").querySelectorAll("button")) button.disabled = is;
}

function send() {
  const question = $("prompt").value.trim();
  if (!question || running) return;
  $("prompt").value = "";
  ask(question);
}

async function askAndFail(fault) {
  if (running) return;
  try {
    await breakNext(fault, $("key").value);
  } catch (error) {
    panel.say(sentence(error));
    return;
  }
  const question = $("prompt").value.trim() || EXAMPLE;
  $("prompt").value = "";
  ask(question);
}

async function begin() {
  service = await about();
  $("model").replaceChildren(...service.models.map((name) => new Option(name, name, false, name === service.model)));
  $("locked").hidden = !service.needs_key;
  $("simulated").hidden = $("faults").hidden = !service.simulated;
  for (const [fault, label] of Object.entries(FAULTS)) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: label });
    button.addEventListener("click", () => askAndFail(fault));
    $("faults").append(button);
  }
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
$("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
  if (event.key === "Escape") running?.abort();
});
$("stop").addEventListener("click", () => running?.abort());
$("fresh").addEventListener("click", () => {
  running?.abort();
  conversation.clear();
  $("prompt").focus();
});
begin().catch((error) => panel.say(sentence(error)));
