// The page of virtual phones. Everything shown comes from the JSON API and is put in place as text, never as markup.

const $ = (id) => document.getElementById(id);
const view = { phone: decodeURIComponent(location.hash.slice(1)), peer: "", seen: new Map(), shown: "" };

async function call(path, options = {}) {
  const response = await fetch(path, options);
  const body = response.status === 204 ? null : await response.json();
  if (!response.ok) throw new Error(body.field ? `${body.field}: ${body.title}` : body.title);
  return body;
}

const post = (path, body) =>
  call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

let alertTimer;
function complain(error) {
  $("alert").textContent = error.message;
  $("alert").hidden = false;
  clearTimeout(alertTimer);
  alertTimer = setTimeout(() => { $("alert").hidden = true; }, 6000);
}

const peerOf = (message) => (message.direction === "sent" ? message.to : message.from);
const time = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const preview = (message) => (message === null ? "no messages" : message.text ?? "data message");

// Lists keep their focus when they are drawn anew: the same button, told by its key, gets it back.
function redraw(list, nodes) {
  const key = list.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  list.replaceChildren(...nodes);
  if (key !== undefined) [...list.querySelectorAll("button")].find((button) => button.dataset.key === key)?.focus();
}

function choiceButton(key, isCurrent, onChoose) {
  const button = make("button");
  button.type = "button";
  button.dataset.key = key;
  if (isCurrent) button.setAttribute("aria-current", "true");
  button.addEventListener("click", onChoose);
  return button;
}

function drawPhones(phones) {
  $("no-phones").hidden = phones.length > 0;
  redraw($("phones"), phones.map((phone) => {
    const isCurrent = phone.msisdn === view.phone;
    const button = choiceButton(phone.msisdn, isCurrent, () => { location.hash = encodeURIComponent(phone.msisdn); });
    if (isCurrent) view.seen.set(phone.msisdn, phone.messages);
    const unread = phone.messages - (view.seen.get(phone.msisdn) ?? 0);
    if (unread > 0) {
      const badge = make("span", "unread", String(unread));
      badge.setAttribute("aria-label", `${unread} new`);
      button.append(badge);
    }
    button.append(make("span", "number", `+${phone.msisdn}`), make("span", "last", preview(phone.last)));
    const item = make("li");
    item.append(button);
    return item;
  }));
}

const STATES = { pending: "waiting for the gateway", accepted: "accepted by the gateway", refused: "refused by the gateway" };

function describe(message) {
  const facts = [time(message.at)];
  if (message.direction === "sent") facts.push(STATES[message.state] ?? message.state);
  if (message.parts_total > 1) {
    facts.push(message.complete ? `${message.parts_total} parts` : `part ${message.parts}/${message.parts_total}`);
  }
  if (message.port !== undefined) facts.push(`port ${message.port}`);
  if (message.repeats > 0) facts.push(`repeated ${message.repeats} times`);
  return facts.join(" · ");
}

function bubble(message) {
  const item = make("li", `${message.direction}${message.complete ? "" : " incomplete"}`);
  const isText = message.text !== null;
  item.append(make("span", isText ? "bubble" : "bubble octets", isText ? message.text : message.hex));
  item.append(make("span", `meta ${message.state ?? ""}`, describe(message)));
  return item;
}

function drawThread(messages) {
  const peers = [...new Set(messages.map(peerOf).reverse())];
  if (!peers.includes(view.peer)) view.peer = peers[0] ?? "";
  redraw($("threads"), peers.map((peer) => {
    const button = choiceButton(peer, peer === view.peer, () => {
      view.peer = peer;
      $("to").value = peer;
      refresh();
    });
    button.textContent = peer;
    const item = make("li");
    item.append(button);
    return item;
  }));
  const list = $("messages");
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const shown = messages.filter((message) => peerOf(message) === view.peer);
  const key = JSON.stringify(shown);
  if (key === view.shown) return;
  view.shown = key;
  list.replaceChildren(...shown.map(bubble));
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

async function drawPhone() {
  const isOpen = view.phone !== "";
  $("phone").hidden = !isOpen;
  $("nothing").hidden = isOpen;
  if (!isOpen) return;
  const phone = view.phone;
  $("phone-name").textContent = `+${phone}`;
  const messages = await call(`/api/phones/${encodeURIComponent(phone)}/messages?direction=all&incomplete=true&limit=500`);
  if (phone !== view.phone) return;
  drawThread(messages);
  if ($("to").value === "" && view.peer !== "") $("to").value = view.peer;
}

function drawStatus(status) {
  const binds = status.binds.length === 1 ? "1 bind" : `${status.binds.length} binds`;
  const { accepted, refused, receipts } = status.counts;
  const held = status.deliveries.held > 0 ? ` · ${status.deliveries.held} held until a bind can receive` : "";
  $("status").textContent = `${binds} · ${accepted} accepted · ${refused} refused · ${receipts} receipts${held}`;
}

async function drawRules() {
  const rules = await call("/api/rules");
  $("rules").replaceChildren(...rules.map((rule) => {
    const row = make("tr");
    const pattern = rule.suffix ? `…${rule.suffix}` : rule.prefix ? `${rule.prefix}…` : "any";
    row.append(make("td", "", pattern), make("td", "", rule.note ?? JSON.stringify(rule)));
    return row;
  }));
}

let isBusy = false;
let isStale = false;
async function refresh() {
  if (isBusy) { isStale = true; return; }
  isBusy = true;
  try {
    do {
      isStale = false;
      const [phones, status] = await Promise.all([call("/api/phones"), call("/api/status")]);
      await drawPhone();
      drawPhones(phones);
      drawStatus(status);
    } while (isStale);
  } catch (error) {
    $("status").textContent = "the simulator does not answer";
  } finally {
    isBusy = false;
  }
}

function openPhone() {
  view.phone = decodeURIComponent(location.hash.slice(1));
  view.peer = "";
  view.shown = "";
  $("to").value = "";
  refresh();
}

$("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const phone = await post("/api/phones", { msisdn: $("msisdn").value });
    $("msisdn").value = "";
    location.hash = encodeURIComponent(phone.msisdn);
    refresh();
  } catch (error) { complain(error); }
});

$("reply").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const message = await post(`/api/phones/${encodeURIComponent(view.phone)}/messages`, { to: $("to").value, text: $("text").value });
    $("text").value = "";
    view.peer = message.to;
    $("messages").scrollTop = $("messages").scrollHeight;
    await refresh();
  } catch (error) { complain(error); }
});

$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("reply").requestSubmit();
  }
});

window.addEventListener("hashchange", openPhone);
const events = new EventSource("/api/events");
events.addEventListener("change", refresh);
events.addEventListener("open", () => { refresh(); drawRules().catch(complain); });
events.addEventListener("error", () => { $("status").textContent = "the simulator does not answer; trying again"; });
refresh();
