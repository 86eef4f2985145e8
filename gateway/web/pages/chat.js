// The chat page: state, and the WebSocket that keeps it true. docs/chat.md describes the frames.

import { compareIds, formatPrice } from "./text.js";
import { $, drawContacts, drawCounter, drawHead, drawMessages, showError, showMe, showPlace } from "./view.js";

const BACKOFF_MS = [500, 1000, 2000, 4000, 8000, 15000];
const AWAY_AFTER_MS = 60000;
const OVERLAP = 20; // lines asked again on every resync: two may have been committed in another order than numbered
const FINAL = new Set(["delivered", "failed", "expired"]);
const RANK = { accepted: 0, submitting: 1, submitted: 2, unknown: 3, delivered: 10, failed: 11, expired: 12 };
const KEPT_MAX = 500;

let me = null;
let socket = null;
let attempts = 0;
let current = null;
let limits = { text_chars: 2000 };
let awayTimer = 0;
let isFirstSync = true;
const contacts = new Map();
const messages = new Map(); // by id
const early = new Map(); // states of messages not seen yet
const prices = new Map();
const older = new Map(); // peer: whether the gateway has earlier lines
let unsent = []; // in this window only, until the gateway has answered
let marks = {}; // peer: last id read in this browser

// -- what the browser keeps -----------------------------------------------------------------------------------------

const keyOf = (name) => `bellhop-chat:${me.account}:${name}`;

function recall(name, fallback) {
  try {
    return JSON.parse(localStorage.getItem(keyOf(name))) ?? fallback;
  } catch {
    return fallback;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(keyOf(name), JSON.stringify(value));
  } catch {
    // private mode, or full: unread counts begin anew next time
  }
}

// A page that was never logged in need not ask whether it is: the answer would be an error in the browser's console.
const INSIDE = "bellhop-chat:inside";

function noteInside(isInside) {
  try {
    if (isInside) localStorage.setItem(INSIDE, "1");
    else localStorage.removeItem(INSIDE);
  } catch {
    // wasInside says yes then
  }
}

function wasInside() {
  try {
    return localStorage.getItem(INSIDE) !== null;
  } catch {
    return true;
  }
}

// -- state ----------------------------------------------------------------------------------------------------------

function takeMessage(message) {
  const known = messages.get(message.id);
  if (!known) messages.set(message.id, message);
  else takeState(message);
  const waiting = early.get(message.id);
  if (waiting && early.delete(message.id)) takeState(waiting);
  if (message.client_id) unsent = unsent.filter((line) => line.client_id !== message.client_id);
}

function takeState({ id, state, reason }) {
  const known = messages.get(id);
  if (!known) early.set(id, { id, state, reason });
  else if (!FINAL.has(known.state) && RANK[state] > RANK[known.state]) Object.assign(known, { state, reason });
}

function takePrice(frame) {
  if (!frame.currency) return;
  prices.set(frame.message.id, { minor: frame.price_minor, currency: frame.currency, parts: frame.segments });
  keep("prices", [...prices].slice(-KEPT_MAX));
}

function thread(peer) {
  const lines = [...messages.values()].filter((message) => message.peer === peer);
  return lines.sort((a, b) => compareIds(a.id, b.id)).concat(unsent.filter((line) => line.peer === peer));
}

/** The list, and everyone who wrote without being in it; who wrote last stands first. */
function listed() {
  const all = new Map([...contacts].map(([peer, contact]) => [peer, { ...contact, isListed: true, unread: 0, last: "" }]));
  for (const message of messages.values()) {
    const { peer, id } = message;
    if (!all.has(peer)) {
      const kind = peer.startsWith("+") ? "phone" : "account";
      all.set(peer, { peer, kind, alias: "", nick: "", relation: "", presence: "offline", isListed: false, unread: 0, last: "" });
    }
    const contact = all.get(peer);
    if (compareIds(id, contact.last) > 0) contact.last = id;
    if (message.direction === "in" && compareIds(id, marks[peer] ?? "") > 0) contact.unread += 1;
  }
  return [...all.values()].sort((a, b) => compareIds(b.last, a.last) || (a.peer < b.peer ? -1 : 1));
}

function draw() {
  if (current !== null && document.visibilityState === "visible") markRead();
  const all = listed();
  drawContacts(all, current, choose);
  const contact = all.find((one) => one.peer === current) ?? null;
  if (contact === null) current = null;
  drawHead(contact, change);
  drawMessages(current === null ? [] : thread(current), prices, current !== null && (older.get(current) ?? older.get("")) === true);
  const unread = all.reduce((sum, one) => sum + one.unread, 0);
  document.title = unread ? `(${unread}) Bellhop chat` : "Bellhop chat";
}

function markRead() {
  const last = thread(current).findLast((message) => message.direction === "in")?.id;
  if (last && compareIds(last, marks[current] ?? "") > 0) {
    marks[current] = last;
    keep("marks", marks);
  }
}

// -- the gateway ----------------------------------------------------------------------------------------------------

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const result = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(result.detail ? `${result.field ? `${result.field}: ` : ""}${result.detail}` : `The gateway answered ${answer.status}`);
  return result;
}

function ask(frame) {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(frame));
  return true;
}

function connect() {
  $("connection").textContent = "connecting…";
  const opened = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/chat/ws`);
  socket = opened;
  opened.addEventListener("message", (event) => {
    if (socket !== opened) return;
    const frame = JSON.parse(event.data);
    HANDLERS[frame.type]?.(frame);
    draw();
  });
  opened.addEventListener("close", () => socket === opened && reconnect());
}

/** Later and later, at no fixed moment, so that a restarted gateway is not met by everyone at once. */
async function reconnect() {
  socket = null;
  const wait = BACKOFF_MS[Math.min(attempts, BACKOFF_MS.length - 1)];
  attempts += 1;
  $("connection").textContent = "not connected; trying again";
  await new Promise((resolve) => setTimeout(resolve, wait * (0.5 + Math.random())));
  if (me === null) return;
  const answer = await fetch("/chat/api/me").catch(() => null);
  if (me === null) return;
  if (answer?.status === 401) leave("You have been logged out.");
  else if (answer?.ok) connect();
  else reconnect();
}

/** Where to ask from: before the last lines, and before the oldest whose state may have changed meanwhile. */
function resyncFrom() {
  const ids = [...messages.keys()].sort(compareIds);
  if (!ids.length) return undefined;
  const open = ids.find((id) => messages.get(id).direction === "out" && !FINAL.has(messages.get(id).state));
  const recent = ids[Math.max(0, ids.length - OVERLAP)];
  const first = open && compareIds(open, recent) < 0 ? open : recent;
  return String(BigInt(first) - 1n);
}

const HANDLERS = {
  hello(frame) {
    attempts = 0;
    limits = frame.limits;
    $("connection").textContent = "connected";
    contacts.clear();
    for (const contact of frame.contacts) contacts.set(contact.peer, contact);
    const since = resyncFrom();
    isFirstSync = since === undefined;
    ask(isFirstSync ? { type: "sync" } : { type: "sync", since });
    if (document.visibilityState !== "visible") ask({ type: "presence", presence: "away" });
  },
  sync(frame) {
    frame.messages.forEach(takeMessage);
    if (isFirstSync) older.set("", frame.more);
    else if (frame.more) return ask({ type: "sync", since: frame.messages.at(-1).id });
    isFirstSync = false;
    // What was on its way when the connection broke goes again: its client_id makes it the same message.
    unsent.filter((line) => line.state === "sending").forEach(dispatch);
  },
  history(frame) {
    frame.messages.forEach(takeMessage);
    older.set(frame.peer, frame.more);
  },
  message(frame) {
    takeMessage(frame.message);
  },
  sent(frame) {
    takeMessage(frame.message);
    takePrice(frame);
  },
  status(frame) {
    takeState(frame);
  },
  presence(frame) {
    const contact = contacts.get(frame.peer);
    if (contact) contact.presence = frame.presence;
  },
  friend(frame) {
    contacts.set(frame.contact.peer, frame.contact);
  },
  friend_gone(frame) {
    contacts.delete(frame.peer);
  },
  bye(frame) {
    if (frame.reason === "logged_out") leave("You have been logged out.");
  },
  error(frame) {
    const line = frame.about === "send" && unsent.find((one) => one.client_id === frame.client_id);
    if (!line) return showError(current === null || frame.about === "friend_add" ? "list-error" : "compose-error", frame.text);
    Object.assign(line, { state: "refused", reason: frame.text });
    if (line.peer === current) showError("compose-error", frame.text);
  },
};

// -- what the person does -------------------------------------------------------------------------------------------

function dispatch(line) {
  ask({ type: "send", to: line.peer, text: line.text, client_id: line.client_id });
}

function say() {
  const text = $("text").value;
  if (!text.trim() || text.length > limits.text_chars || current === null) return;
  const line = { client_id: crypto.randomUUID?.() ?? randomId(), peer: current, text, direction: "out", state: "sending", reason: "", at: new Date().toISOString() };
  unsent.push(line);
  dispatch(line);
  $("text").value = "";
  showError("compose-error", "");
  typed();
  draw();
  $("log").scrollTop = $("log").scrollHeight;
}

// randomUUID is there only on https and localhost.
function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function typed() {
  drawCounter($("text").value, current?.startsWith("+") ?? false, limits.text_chars);
}

function choose(peer) {
  current = peer;
  showError("compose-error", "");
  draw();
  typed();
  $("log").scrollTop = $("log").scrollHeight;
  (matchMedia("(max-width: 40rem)").matches ? $("thread-title") : $("text")).focus();
}

function change(action, peer) {
  showError("compose-error", "");
  if (!ask({ type: `friend_${action}`, peer })) showError("compose-error", "Not connected at the moment.");
}

function enter(session) {
  me = session;
  noteInside(true);
  marks = recall("marks", {});
  prices.clear();
  for (const [id, price] of recall("prices", [])) prices.set(id, price);
  showMe(me.account, me.nick);
  showPlace(true);
  connect();
  draw();
}

function leave(text) {
  me = null;
  noteInside(false);
  current = null;
  unsent = [];
  for (const kept of [contacts, messages, early, older]) kept.clear();
  const closing = socket;
  socket = null;
  closing?.close();
  draw();
  showPlace(false);
  showError("voucher-told", "");
  showError("door-error", text);
}

function onForm(id, path) {
  $(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    showError("door-error", "");
    const form = event.target;
    try {
      enter(await post(path, { ...Object.fromEntries(new FormData(form)), cookie_only: true }));
      form.reset();
    } catch (error) {
      showError("door-error", error.message);
    }
  });
}

onForm("login", "/chat/api/login");
onForm("register", "/chat/api/register");
$("logout").addEventListener("click", async () => {
  await fetch("/chat/api/logout", { method: "POST" }).catch(() => null);
  if (me !== null) leave("");
});
$("add").addEventListener("submit", (event) => {
  event.preventDefault();
  showError("list-error", "");
  const { peer, alias } = Object.fromEntries(new FormData(event.target));
  if (!ask({ type: "friend_add", peer, alias })) return showError("list-error", "Not connected at the moment.");
  event.target.reset();
});
$("voucher").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  try {
    const done = await post("/chat/api/vouchers", Object.fromEntries(new FormData(form)));
    form.reset();
    showError("voucher-told", `${formatPrice(done.amount_minor, done.currency)} ${done.is_new ? "came in" : "came in before, by this code"}.`);
  } catch (error) {
    showError("voucher-told", error.message);
  }
});
$("back").addEventListener("click", () => {
  current = null;
  draw();
});
$("older").addEventListener("click", () => {
  const first = thread(current)[0]?.id;
  ask(first ? { type: "history", peer: current, before: first } : { type: "history", peer: current });
});
$("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  say();
});
$("text").addEventListener("input", typed);
$("text").addEventListener("keydown", (event) => {
  // Enter also ends the choice of a Chinese word in an input method: that one is not ours.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  say();
});
document.addEventListener("visibilitychange", () => {
  clearTimeout(awayTimer);
  if (document.visibilityState === "visible") {
    ask({ type: "presence", presence: "online" });
    if (me !== null) draw();
  } else {
    awayTimer = setTimeout(() => ask({ type: "presence", presence: "away" }), AWAY_AFTER_MS);
  }
});

const answer = wasInside() ? await fetch("/chat/api/me").catch(() => null) : null;
if (answer?.ok) enter(await answer.json());
else {
  if (answer?.status === 401) noteInside(false);
  showPlace(false);
}
