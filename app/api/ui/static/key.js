/** The field for a key of the service. The key is in this field only, and a reload forgets it. */
export class KeyField {
  #form;
  #input;
  #message;
  #help;

  /** `onKey` is called when Enter is pressed in the field. */
  constructor($, onKey) {
    [this.#form, this.#input, this.#message] = [$("key-form"), $("key"), $("key-message")];
    this.#help = this.#message.textContent;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.ready()) onKey();
    });
  }

  get value() {
    return this.#input.value.trim();
  }

  show(needed) {
    this.#form.hidden = !needed;
  }

  /** Whether a request may be sent. If not, the field asks for the key. */
  ready() {
    const given = this.#form.hidden || this.value !== "";
    if (given) this.#say(this.#help, false);
    else this.ask("Type a key of this service here, then press Enter.");
    return given;
  }

  ask(message) {
    this.#say(message, true);
    this.#input.focus();
    this.#input.select();
  }

  #say(message, invalid) {
    this.#message.textContent = message;
    this.#message.classList.toggle("error", invalid);
    this.#input.ariaInvalid = String(invalid);
  }
}
