/** The view Chat: sends prompts, shows their answers, and the details of one chat. */
import { Conversation } from "./conversation.js";
import { button } from "./dom.js";
import { dollars, milliseconds, outputRate, perSecond } from "./format.js";
import { Measurement } from "./measurement.js";
import { Panel } from "./panel.js";
import { forget, remember, remembered } from "./resume.js";
import { Failure, chat, injectFault, readWhenStored, rowOnceStored } from "./service.js";

const FAULTS = {
  unavailable: "503 twice",
  limited: "Rate limit for 2 s",
  cut: "Broken stream",
  silent: "Silence of 2.5 s",
};
const QUESTIONS = [
  "How do I find the trace?",
  "Where is the row of this chat?",
  "When is a request retried?",
  "What can I break?",
];
const CONTINUES = "The page does not read on. The answer is finished without it, and then is in the view Chats.";
const NO_ROW = "The database has no row for this chat: it was refused, or its row is in the outbox.";

export class ChatView {
  #$;
  #key;
  #conversation;
  #panel;
  #running = null;

  constructor($, service, key) {
    this.#$ = $;
    this.#key = key;
    this.#conversation = new Conversation($("log"), $("empty"));
    this.#panel = new Panel($("details"), service);
    $("model").replaceChildren(...service.models.map((name) => new Option(name, name, false, name === service.model)));
    if (service.simulated) this.#addSimulatorButtons();
    $("continue-label").hidden = !service.can_continue;
    $("chat-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    $("prompt").addEventListener("keydown", (event) => this.#onKeyDown(event));
    $("stop").addEventListener("click", () => this.#running?.abort());
    $("new-chat").addEventListener("click", () => this.#clear());
  }

  /** Sends the prompt; without one, shows the answer of the chat that ran when the page was left. */
  send() {
    const question = this.#$("prompt").value.trim();
    if (question) this.#ask(question);
    else this.resume();
  }

  /** Shows the answer of the chat that ran when the page was left, once its row is stored. */
  async resume() {
    const left = remembered();
    if (!left || this.#running || !this.#key.ready()) return;
    const answer = this.#conversation.restore(left.messages);
    const { messages } = this.#conversation;
    const signal = this.#begin();
    this.#panel.end("running", "neutral", "The page was left. Its answer is shown when the row is stored.");
    const stored = await readWhenStored(left.id, this.#key.value, signal).catch((error) => error);
    this.#end();
    // After any other failure, such as a wrong key, it can still be fetched.
    if (stored.row || stored.status === 404 || stored.name === "AbortError") forget();
    if (this.#conversation.messages !== messages) return; // a new chat was begun
    if (stored.row) {
      answer.append({ text: stored.answer.content ?? "", reasoning: stored.answer.reasoning });
      answer.end();
      this.#panel.show(stored.row);
    } else {
      answer.end(endingOf(stored));
      this.#panel.end("failed", "bad");
    }
  }

  #addSimulatorButtons() {
    for (const [fault, label] of Object.entries(FAULTS)) {
      const send = () => this.#ask(this.#$("prompt").value.trim() || this.#$("prompt").placeholder, fault);
      this.#$("faults").append(button(label, send));
    }
    for (const question of QUESTIONS) this.#$("questions").append(button(question, () => this.#ask(question)));
    this.#$("faults").hidden = false;
  }

  #onKeyDown(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.send();
    }
    if (event.key === "Escape") this.#running?.abort();
  }

  #clear() {
    this.#running?.abort();
    this.#conversation.clear();
    this.#panel.clear();
    this.#$("prompt").focus();
  }

  /** Sends a chat, with a fault injected at the simulated Groq, and shows its answer and its row. */
  async #ask(question, fault = null) {
    if (!question || this.#running || !this.#key.ready()) return;
    const messages = this.#conversation.messages;
    const answer = this.#conversation.ask(question);
    const measurement = new Measurement();
    const signal = this.#begin();
    this.#$("prompt").value = "";
    this.#panel.follow(measurement);
    const failure = await this.#stream(answer, measurement, { fault, signal }).catch((error) => error);
    measurement.end();
    this.#end();
    if (!failure?.disconnected) forget(); // a page that is being left is disconnected
    if (this.#conversation.messages !== messages) return; // a new chat was begun
    if (failure?.status === 401) {
      this.#refuse(question);
      return;
    }
    const continues = failure?.name === "AbortError" && this.#$("continue").checked;
    answer.end(failure && (continues ? CONTINUES : endingOf(failure)));
    if (continues) this.#panel.end("left", "neutral", CONTINUES);
    else await this.#showRow(answer, measurement, failure);
  }

  async #stream(answer, measurement, { fault, signal }) {
    const key = this.#key.value;
    const continues = this.#$("continue").checked;
    if (fault) await injectFault(fault, key);
    const request = { model: this.#$("model").value, messages: this.#conversation.messages };
    try {
      for await (const part of chat(request, { key, signal, continues })) {
        measurement.id ??= part.id;
        if (part.id && continues) remember({ id: part.id, messages: request.messages });
        if (part.done) measurement.receipt();
        else measurement.event(Boolean(part.text || part.reasoning));
        if (part.text || part.reasoning) answer.append(part);
      }
    } catch (error) {
      measurement.id ??= error.id ?? null;
      throw error;
    }
  }

  /** The prompt returns to its field, and is sent again by Enter in the field of the key. */
  #refuse(question) {
    this.#conversation.withdraw();
    this.#$("prompt").value ||= question;
    this.#panel.clear();
    this.#panel.end("refused", "bad", "The service refused the key; nothing was sent to Groq.");
    this.#key.ask("The service refused this key. Correct it, then press Enter to send the prompt.");
  }

  /** Shows the row of a chat once it is stored: that of a stopped chat is, after the page has disconnected. */
  async #showRow(answer, measurement, failure) {
    this.#panel.end(failure ? "failed" : "ended", failure ? "bad" : "neutral");
    const found = measurement.id && (await rowOnceStored(measurement.id, this.#key.value).catch((error) => error));
    const show = () => {
      if (found?.outcome) this.#panel.show(found, measurement);
      else if (found) this.#panel.end("unknown", "bad", `The row cannot be read: ${found.message}`);
      else this.#panel.end(measurement.id ? "no row" : "not sent", "bad", measurement.id ? NO_ROW : "");
    };
    if (found?.outcome) {
      answer.addButton(numbers(found), () => {
        show();
        this.#$("details").scrollIntoView({ block: "start" });
      });
    }
    if (this.#panel.shows(measurement)) show(); // else the details are those of another chat
  }

  #begin() {
    this.#running = new AbortController();
    this.#setBusy(true);
    return this.#running.signal;
  }

  #end() {
    this.#running = null;
    this.#setBusy(false);
  }

  #setBusy(busy) {
    this.#$("log").ariaBusy = String(busy);
    this.#$("send").hidden = busy;
    this.#$("stop").hidden = !busy;
    for (const each of this.#$("chat").querySelectorAll("#faults button, #questions button")) each.disabled = busy;
  }
}

function endingOf(error) {
  if (error.name === "AbortError") return "You stopped the chat.";
  if (!(error instanceof Failure)) console.error(error);
  return error instanceof Failure ? error.message : "This page has a bug; the browser's console shows it.";
}

/** The numbers of a chat in one line. */
function numbers(row) {
  const ttft = row.ttft_ms !== null && `first token ${milliseconds(row.ttft_ms)}`;
  const parts = [row.outcome, ttft, perSecond(outputRate(row)), dollars(row.cost_usd)];
  return parts.filter((part) => part && part !== "–").join(" · ");
}
