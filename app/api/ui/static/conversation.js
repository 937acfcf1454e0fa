/** What was said, on the page and for the next request: the service keeps no conversation. */
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

  /** Adds the question, and a place where its answer grows. */
  ask(question) {
    this.#empty.hidden = true;
    const messages = this.messages;
    messages.push({ role: "user", content: question });
    this.#log.append(said("you", "You", question));
    const bubble = said("groq", "Groq", "");
    this.#log.append(bubble);
    this.#toEnd();
    return new Answer(bubble, messages, () => this.#toEnd());
  }

  #toEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }
}

class Answer {
  #bubble;
  #messages;
  #toEnd;
  #text = "";
  #thought = null;

  constructor(bubble, messages, toEnd) {
    this.#bubble = bubble;
    this.#messages = messages;
    this.#toEnd = toEnd;
  }

  /** Text stays text: nothing of an answer is ever read as markup. */
  grow({ text, thought }) {
    if (thought) {
      this.#thought ??= this.#bubble.insertBefore(paragraph("thought", ""), this.#bubble.lastChild);
      this.#thought.append(thought);
    }
    this.#text += text;
    this.#bubble.querySelector(".text").append(text);
    this.#toEnd();
  }

  /** `problem`: a sentence, where it did not end well. */
  end(problem = null) {
    if (this.#text) this.#messages.push({ role: "assistant", content: this.#text });
    else this.#messages.pop();
    if (!this.#text && this.#thought) problem ??= "The model only reasoned: its token budget was spent before an answer.";
    if (problem) this.#bubble.append(paragraph("problem", problem));
    this.#toEnd();
  }
}

function said(who, name, text) {
  const article = document.createElement("article");
  article.className = who;
  article.append(paragraph("who", name), paragraph("text", text));
  return article;
}

function paragraph(className, text) {
  const element = document.createElement("p");
  element.className = className;
  element.textContent = text;
  return element;
}
