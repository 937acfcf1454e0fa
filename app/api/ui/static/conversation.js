/** The messages of a conversation, on the page and for the next request. The service stores no conversations. */
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
    const messages = this.messages;
    messages.push({ role: "user", content: question });
    this.#log.append(messageElement("user", "You", question));
    const element = messageElement("assistant", "Groq", "");
    this.#log.append(element);
    this.#scrollToEnd();
    return new Answer(element, messages, () => this.#scrollToEnd());
  }

  #scrollToEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }
}

class Answer {
  #element;
  #messages;
  #scrollToEnd;
  #text = "";
  #reasoning = null;

  constructor(element, messages, scrollToEnd) {
    this.#element = element;
    this.#messages = messages;
    this.#scrollToEnd = scrollToEnd;
  }

  /** Appends text nodes: an answer is never parsed as markup. */
  append({ text, reasoning }) {
    if (reasoning) {
      this.#reasoning ??= this.#element.insertBefore(paragraph("reasoning", ""), this.#element.lastChild);
      this.#reasoning.append(reasoning);
    }
    this.#text += text;
    this.#element.querySelector(".text").append(text);
    this.#scrollToEnd();
  }

  /** `error` is the sentence to show if the answer is not complete. */
  end(error = null) {
    if (this.#text) this.#messages.push({ role: "assistant", content: this.#text });
    else this.#messages.pop();
    if (!this.#text && this.#reasoning) error ??= "The answer has reasoning only: its token budget was spent before any content.";
    if (error) this.#element.append(paragraph("error", error));
    this.#scrollToEnd();
  }
}

function messageElement(role, name, text) {
  const article = document.createElement("article");
  article.className = role;
  article.append(paragraph("role", name), paragraph("text", text));
  return article;
}

function paragraph(className, text) {
  const element = document.createElement("p");
  element.className = className;
  element.textContent = text;
  return element;
}
