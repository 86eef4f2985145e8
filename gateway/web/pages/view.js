// Draws the state; never decides anything. Whatever came from a person is set as textContent, never as markup.

import { count, formatPrice } from "./text.js";

const TICKS = {
  sending: ["…", "being sent"],
  accepted: ["✓", "accepted"],
  submitting: ["✓", "accepted"],
  submitted: ["✓", "handed to the operator"],
  unknown: ["?", "not known yet"],
  delivered: ["✓✓", "delivered"],
  failed: ["✗", "not delivered"],
  expired: ["✗", "not delivered in time"],
  refused: ["✗", "not sent"],
};
const UNPAID = new Set(["failed", "expired", "refused"]);
const NOTES = { waiting: "has not answered yet", asked: "wants to be your friend", blocked: "blocked" };
const ACTIONS = {
  friend: ["block", "remove"],
  waiting: ["remove"],
  asked: ["accept", "refuse", "block"],
  blocked: ["unblock"],
};
const LABELS = { accept: "Accept", refuse: "Refuse", remove: "Remove", block: "Block", unblock: "Unblock" };

export const $ = (id) => document.getElementById(id);

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

export function nameOf(contact) {
  return contact.alias || contact.nick || contact.peer;
}

/** Before logging in, or inside. */
export function showPlace(isInside) {
  $("door").hidden = isInside;
  $("room").hidden = !isInside;
}

export function showMe(account, nick) {
  $("me-nick").textContent = nick;
  $("me-account").textContent = account;
}

export function showError(id, text) {
  $(id).textContent = text;
}

export function drawContacts(contacts, current, choose) {
  const focused = document.activeElement?.dataset?.peer;
  $("contacts").replaceChildren(...contacts.map((contact) => contactItem(contact, current, choose)));
  $("list-empty").hidden = contacts.length > 0;
  if (focused) [...$("contacts").querySelectorAll("button")].find((button) => button.dataset.peer === focused)?.focus();
}

function contactItem(contact, current, choose) {
  const button = make("button", "contact");
  button.type = "button";
  button.dataset.peer = contact.peer;
  button.dataset.presence = contact.presence;
  if (contact.peer === current) button.setAttribute("aria-current", "true");
  const shown = contact.kind === "phone" ? "phone" : contact.presence;
  const dot = make("span", `dot ${shown}`);
  dot.setAttribute("role", "img");
  dot.setAttribute("aria-label", shown);
  const name = make("span", "name", nameOf(contact));
  const note = NOTES[contact.relation] ?? (nameOf(contact) === contact.peer ? "" : contact.peer);
  if (note) name.append(make("span", "note", note));
  button.append(dot, name);
  if (contact.unread) {
    const unread = make("span", "unread", String(contact.unread));
    unread.setAttribute("aria-label", `${contact.unread} unread`);
    button.append(unread);
  }
  button.addEventListener("click", () => choose(contact.peer));
  const item = make("li");
  item.append(button);
  return item;
}

export function drawHead(contact, act) {
  $("room").classList.toggle("in-thread", contact !== null);
  $("compose").hidden = contact === null;
  $("thread-title").textContent = contact === null ? "Choose a contact" : nameOf(contact);
  const actions = (contact?.isListed ? ACTIONS[contact.relation] : []) ?? [];
  const shown = JSON.stringify([contact?.peer, contact && nameOf(contact), actions]);
  if ($("thread-actions").dataset.shown === shown) return; // a button made anew would lose the focus
  $("thread-actions").dataset.shown = shown;
  $("thread-actions").replaceChildren(...actions.map((action) => actionButton(action, contact, act)));
}

function actionButton(action, contact, act) {
  const button = make("button", "", LABELS[action]);
  button.type = "button";
  button.setAttribute("aria-label", `${LABELS[action]} ${nameOf(contact)}`);
  button.addEventListener("click", () => act(action, contact.peer));
  return button;
}

/** The thread's lines. Elements are kept by key, so that a screen reader is told only what is new. */
export function drawMessages(messages, prices, hasOlder) {
  const log = $("log");
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  const known = new Map([...$("messages").children].map((item) => [item.dataset.key, item]));
  const items = messages.map((message) => {
    const key = message.client_id || message.id;
    const item = known.get(key) ?? messageItem(message, key);
    drawFoot(item, message, prices.get(message.id));
    return item;
  });
  const isSame = items.length === known.size && items.every((item, place) => $("messages").children[place] === item);
  if (!isSame) $("messages").replaceChildren(...items);
  $("older").hidden = !hasOlder;
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}

function messageItem(message, key) {
  const item = make("li", `message ${message.direction}`);
  item.dataset.key = key;
  item.append(make("p", "body", message.text), make("p", "foot"));
  return item;
}

function drawFoot(item, message, price) {
  const shown = JSON.stringify([message.id, message.state, message.reason, price]);
  if (item.dataset.shown === shown) return;
  item.dataset.shown = shown;
  item.dataset.id = message.id ?? "";
  item.dataset.state = message.state;
  const foot = item.querySelector(".foot");
  const time = make("time", "", new Date(message.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = message.at;
  foot.replaceChildren(time);
  if (message.direction === "in") return;
  // What did not arrive is not charged, or only for the parts that did: the price told at sending says nothing then.
  if (price && !UNPAID.has(message.state)) foot.append(make("span", "price", `${price.parts > 1 ? `${price.parts} parts, ` : ""}${formatPrice(price.minor, price.currency)}`));
  const [sign, words] = TICKS[message.state] ?? ["?", message.state];
  const said = message.reason ? `${words}: ${message.reason}` : words;
  const tick = make("span", `tick ${message.state}`, sign === "✗" ? `${sign} ${said}` : sign);
  tick.setAttribute("role", "img");
  tick.setAttribute("aria-label", said);
  tick.title = words;
  foot.append(tick);
}

export function drawCounter(text, isPhone, charsMax) {
  const over = text.length - charsMax;
  if (over > 0) $("counter").textContent = `${over} characters too many`;
  else if (!text || !isPhone) $("counter").textContent = "";
  else {
    const { encoding, parts, left } = count(text);
    $("counter").textContent = `${parts} SMS, ${left} left (${encoding})`;
  }
}
