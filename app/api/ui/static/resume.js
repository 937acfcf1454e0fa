/** The running chat of this tab, remembered until it has ended, so that a reload can show its answer. */
const NAME = "running-chat";

/** `chat` has the chat's id and the messages of its request. */
export const remember = (chat) => sessionStorage.setItem(NAME, JSON.stringify(chat));

export const forget = () => sessionStorage.removeItem(NAME);

/** The chat that ran when the page was left; null if there is none. */
export const remembered = () => JSON.parse(sessionStorage.getItem(NAME));
