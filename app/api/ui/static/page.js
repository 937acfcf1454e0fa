/** The page: its two views, and the field for a key that both use. */
import { ChatDialog } from "./chat_dialog.js";
import { ChatView } from "./chat_view.js";
import { ChatsView } from "./chats_view.js";
import { KeyField } from "./key.js";
import { about } from "./service.js";

const $ = (id) => document.getElementById(id);

async function start() {
  const service = await about();
  const key = new KeyField($, () => (showsChats() ? open() : chat.send()));
  const chat = new ChatView($, service, key);
  const chats = new ChatsView($, service, key);
  const dialog = new ChatDialog($, service, key);
  key.show(service.needs_key);
  $("chats-link").hidden = !service.lists_chats;
  $("simulated").hidden = !service.simulated;
  if (service.tokens_per_s) $("speed").textContent = `, at ${service.tokens_per_s} tokens a second`;

  /** Opens the view that the address names: `#chats`, `#chats/ID`, or the chat. */
  function open() {
    $("chat-view").hidden = showsChats();
    $("chats-view").hidden = !showsChats();
    for (const link of document.querySelectorAll("nav a")) {
      link.ariaCurrent = (link.hash === "#chats") === showsChats() ? "page" : null;
    }
    chats.poll();
    dialog.open(showsChats() ? location.hash.split("/")[1] : "");
  }
  addEventListener("hashchange", open);
  open();
  chat.resume();
}

const showsChats = () => /^#chats(\/|$)/.test(location.hash);

start().catch((error) => {
  $("failed").textContent = error.message;
  $("failed").hidden = false;
});
