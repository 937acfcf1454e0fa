/** The page: sends chats, shows their answers, and the details of the last one. */
import { Conversation } from "./conversation.js";
import { Panel } from "./panel.js";
import { Failure, about, chat, injectFault, row } from "./service.js";

const $ = (id) => document.getElementById(id);
const EXAMPLE = "Why is the sky blue?";
const FAULTS = {
  unavailable: "503 twice, then success",
  limited: "Rate limit",
  cut: "Broken stream",
  silent: "Pause",
};

const conversation = new Conversation($("log"), $("empty"));
const panel = new Panel($);
let running = null;
let service = null;

/** Sends a chat, and shows its answer and its row. */
async function ask(question) {
  const answer = conversation.ask(question);
  const abort = (running = new AbortController());
  const started = performance.now();
  const elapsed = () => performance.now() - started;
  let id = null;
  let lastMs = 0;
  let receiptMs = null;
  setBusy(true);
  panel.begin(elapsed);
  try {
    const request = { model: $("model").value, messages: conversation.messages };
    for await (const part of chat(request, { key: $("key").value, signal: abort.signal })) {
      id ??= part.id;
      if (part.done) receiptMs = elapsed() - lastMs;
      lastMs = elapsed();
      if (part.text || part.reasoning) {
        answer.append(part);
        panel.token(lastMs);
      }
    }
    answer.end();
  } catch (error) {
    id ??= error.id ?? null;
    answer.end(error.name === "AbortError" ? "You stopped the chat." : errorText(error));
    if (error.status === 401) $("key").focus();
  } finally {
    running = null;
    setBusy(false);
    await showRow(id, receiptMs);
  }
}

/** Reads the row of a chat and shows it. The row of a stopped chat is stored after the page has disconnected. */
async function showRow(id, receiptMs) {
  panel.end(id);
  for (const waitMs of id ? [0, 50, 100, 200, 400, 800, 1600] : []) {
    await new Promise((resume) => setTimeout(resume, waitMs));
    if (running) return; // the details are those of the next chat
    const found = await row(id, $("key").value).catch(() => null);
    if (found) {
      panel.showRow(found, receiptMs, service);
      return;
    }
  }
  panel.showNoRow(id);
}

/** The text to show for an error. Anything but a Failure is a bug of this page. */
function errorText(error) {
  if (!(error instanceof Failure)) console.error(error);
  return error instanceof Failure ? error.message : "This page has a bug; the browser's console shows it.";
}

function setBusy(busy) {
  $("log").ariaBusy = String(busy);
  $("send").disabled = busy;
  $("stop").hidden = !busy;
  for (const button of $("faults").querySelectorAll("button")) button.disabled = busy;
}

function send() {
  const question = $("prompt").value.trim();
  if (!question || running) return;
  $("prompt").value = "";
  ask(question);
}

async function askWithFault(fault) {
  if (running) return;
  try {
    await injectFault(fault, $("key").value);
  } catch (error) {
    panel.showMessage(errorText(error));
    return;
  }
  const question = $("prompt").value.trim() || EXAMPLE;
  $("prompt").value = "";
  ask(question);
}

async function start() {
  service = await about();
  $("model").replaceChildren(...service.models.map((name) => new Option(name, name, false, name === service.model)));
  $("key-row").hidden = !service.needs_key;
  $("simulated").hidden = $("faults").hidden = !service.simulated;
  for (const [fault, label] of Object.entries(FAULTS)) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: label });
    button.addEventListener("click", () => askWithFault(fault));
    $("faults").append(button);
  }
}

$("chat-form").addEventListener("submit", (event) => {
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
$("new-chat").addEventListener("click", () => {
  running?.abort();
  conversation.clear();
  $("prompt").focus();
});
start().catch((error) => panel.showMessage(errorText(error)));
