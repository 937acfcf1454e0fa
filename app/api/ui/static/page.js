/** The page: the view Chat, and the field for a key. */
import { ChatView } from "./chat_view.js";
import { KeyField } from "./key.js";
import { about } from "./service.js";

const $ = (id) => document.getElementById(id);

async function start() {
  const service = await about();
  const key = new KeyField($, () => chat.send());
  const chat = new ChatView($, service, key);
  key.show(service.needs_key);
  $("simulated").hidden = !service.simulated;
  if (service.tokens_per_s) $("speed").textContent = `, at ${service.tokens_per_s} tokens a second`;
}

start().catch((error) => {
  $("failed").textContent = error.message;
  $("failed").hidden = false;
});
