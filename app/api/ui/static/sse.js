/** Server-sent events: text in any pieces, the data of whole events out. Comments and ids are left out. */
export class EventReader {
  #rest = "";

  /** The events that this piece completes, as {name, data}. */
  *read(piece) {
    this.#rest += piece;
    const blocks = this.#rest.split(/\r\n\r\n|\n\n|\r\r/);
    this.#rest = blocks.pop();
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
