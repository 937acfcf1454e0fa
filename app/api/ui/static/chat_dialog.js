/** The conversation and the details of a stored chat, in a dialog beside the list. */
import { messageElement, paragraph } from "./conversation.js";
import { Panel } from "./panel.js";
import { readChat } from "./service.js";

const NO_CONTENT = "The row has no content: CHAT_LOG_CONTENT or the request excludes it.";
const NAMES = { user: "You", assistant: "Groq" };

export class ChatDialog {
  #dialog;
  #log;
  #key;
  #panel;
  #id;

  constructor($, service, key) {
    [this.#dialog, this.#log, this.#key] = [$("chat-dialog"), $("stored-log"), key];
    this.#panel = new Panel($("stored-details"), service);
    $("close-dialog").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
    this.#dialog.addEventListener("close", () => {
      if (location.hash.startsWith("#chats/")) location.hash = "#chats";
    });
  }

  /** Opens the chat with this id; without an id, closes the dialog. */
  async open(id) {
    this.#id = id;
    if (!id) {
      this.#dialog.close();
      return;
    }
    this.#panel.clear();
    this.#log.replaceChildren();
    if (!this.#dialog.open) this.#dialog.showModal();
    try {
      const { row, messages } = await readChat(id, this.#key.value);
      if (this.#id !== id) return; // another one was opened meanwhile
      const articles = messages.map(({ role, text, reasoning }) => messageElement(role, NAMES[role] ?? role, text, reasoning));
      this.#log.replaceChildren(...(articles.length ? articles : [paragraph("neutral", NO_CONTENT)]));
      this.#panel.show(row);
    } catch (error) {
      if (this.#id !== id) return;
      this.#log.replaceChildren(paragraph("error", error.message));
    }
  }
}
