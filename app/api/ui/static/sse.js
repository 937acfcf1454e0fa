/** Parses server-sent events from text that is split at any position. Ignores comments and ids. */
export class EventParser {
  #incomplete = "";

  /** Yields the events that `text` completes, as {name, data}. */
  *read(text) {
    this.#incomplete += text;
    const blocks = this.#incomplete.split(/\r\n\r\n|\n\n|\r\r/);
    this.#incomplete = blocks.pop();
    for (const block of blocks) {
      const event = { name: "message", data: [] };
      for (const line of block.split(/\r\n|\n|\r/)) {
        if (line.startsWith("data:")) event.data.push(line.slice(5).replace(/^ /, ""));
        if (line.startsWith("event:")) event.name = line.slice(6).trim();
      }
      if (event.data.length) yield { name: event.name, data: event.data.join("\n") };
    }
  }
}
