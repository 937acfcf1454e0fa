/** The messages of a conversation, on the page and for the next request. The service stores no conversations. */
import { button, element } from "./dom.js";

/** How near to its end the log counts as scrolled to it. */
const END_PX = 40;

export class Conversation {
  messages = [];
  #log;
  #empty;

  constructor(log, empty) {
    this.#log = log;
    this.#empty = empty;
  }

  clear() {
    this.messages = [];
    this.#log.replaceChildren();
    this.#empty.hidden = false;
  }

  /** Adds a question and returns its empty answer. */
  ask(question) {
    this.#empty.hidden = true;
    this.messages.push({ role: "user", content: question });
    const asked = messageElement("user", "You", question);
    const answer = messageElement("assistant", "Groq", "");
    this.#log.append(asked, answer);
    this.#scrollToEnd();
    return new Answer(answer, this.messages, (change) => this.#change(change));
  }

  /** Shows the messages of a request again, and returns the empty answer to the last one. */
  restore(messages) {
    this.clear();
    for (const { role, content } of messages.slice(0, -1)) {
      this.messages.push({ role, content });
      this.#log.append(messageElement(role, role === "user" ? "You" : "Groq", content));
    }
    return this.ask(messages.at(-1).content);
  }

  /** Removes the last question and its answer. */
  withdraw() {
    this.messages.pop();
    for (const last of [...this.#log.children].slice(-2)) last.remove();
    this.#empty.hidden = this.#log.childElementCount > 0;
  }

  /** Changes the log. At its end, it stays there; a reader who has scrolled up stays there, too. */
  #change(change) {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    change();
    if (scrollHeight - scrollTop - clientHeight < END_PX) this.#scrollToEnd();
  }

  #scrollToEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }
}

class Answer {
  #element;
  #messages;
  #change;
  #text = "";
  #reasoning = null;

  constructor(answer, messages, change) {
    this.#element = answer;
    this.#messages = messages;
    this.#change = change;
  }

  /** Appends text nodes: an answer is never parsed as markup. */
  append({ text, reasoning }) {
    this.#text += text;
    this.#change(() => {
      if (reasoning) {
        this.#reasoning ??= this.#element.insertBefore(paragraph("reasoning", ""), this.#element.lastChild);
        this.#reasoning.append(reasoning);
      }
      this.#element.querySelector(".text").append(text);
    });
  }

  /** `error` is the sentence to show if the answer is not complete. */
  end(error = null) {
    if (this.#text) this.#messages.push({ role: "assistant", content: this.#text });
    else this.#messages.pop();
    if (!this.#text && this.#reasoning) error ??= "The answer has reasoning only: its token budget was spent before any content.";
    if (error) this.#change(() => this.#element.append(paragraph("error", error)));
  }

  /** Adds a button below the answer. */
  addButton(text, onClick) {
    this.#change(() => this.#element.append(button(text, onClick, { className: "numbers" })));
  }
}

/** A message as an article: its author, its reasoning if it has any, and its text. */
export function messageElement(role, name, text, reasoning = null) {
  const thoughts = reasoning ? [paragraph("reasoning", reasoning)] : [];
  return element("article", { className: role }, paragraph("role", name), ...thoughts, paragraph("text", text));
}

export const paragraph = (className, text) => element("p", { className }, text);
