/** The running chat of this tab, remembered until it has ended, so that a reload can show its answer. */
const NAME = "running-chat";

/** `chat` has the chat's id and the messages of its request. */
export const remember = (chat) => stored((storage) => storage.setItem(NAME, JSON.stringify(chat)));

export const forget = () => stored((storage) => storage.removeItem(NAME));

/** The chat that ran when the page was left; null if there is none. */
export const remembered = () => stored((storage) => JSON.parse(storage.getItem(NAME))) ?? null;

/** Without the storage, which a browser may block or fill up, the page works, and a reload shows no answer. */
function stored(use) {
  try {
    return use(sessionStorage);
  } catch {
    return null;
  }
}
