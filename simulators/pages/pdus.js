// The PDU inspector. Everything shown comes from the JSON API and is put in place as text, never as markup.

const $ = (id) => document.getElementById(id);
const KEPT = 400;
const view = { rows: [], last: 0, chosen: Number(location.hash.slice(1)) || 0, paused: false, connections: "", filters: "" };

async function call(path, options = {}) {
  const response = await fetch(path, options);
  const body = response.status === 204 ? null : await response.json();
  if (!response.ok) throw new Error(body.field ? `${body.field}: ${body.title}` : body.title);
  return body;
}

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

const clock = (at) => {
  const moment = new Date(at);
  const time = moment.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return `${time}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
};

function query() {
  const words = new URLSearchParams();
  for (const [name, value] of new FormData($("filters"))) if (value !== "" && value !== "all") words.set(name, value);
  return words;
}

function rowOf(pdu) {
  const row = make("tr", `${pdu.direction}${pdu.error ? " error" : ""}`);
  row.dataset.number = pdu.number;
  const command = make("td");
  const arrow = make("span", "arrow", pdu.direction === "in" ? "→" : "←");
  arrow.setAttribute("aria-label", pdu.direction === "in" ? "from the ESME" : "to the ESME");
  const button = make("button", "", pdu.command);
  button.type = "button";
  command.append(arrow, button);
  const what = make("td");
  if (pdu.fault) what.append(make("span", "tag", `spoilt: ${pdu.fault}`));
  if (pdu.status) what.append(make("span", "tag", pdu.status_name));
  if (pdu.problem && !pdu.fault) what.append(make("span", "tag", pdu.problem));
  what.append(make("span", "", pdu.what));
  if (pdu.answers) what.append(make("span", "soft", `${pdu.what ? " · " : ""}after ${pdu.answers.ms.toFixed(1)} ms`));
  what.title = pdu.what;
  const label = pdu.label ? `${pdu.label} #${pdu.connection}` : `#${pdu.connection}`;
  row.append(make("td", "", clock(pdu.at)), make("td", "", label), command, make("td", "", String(pdu.sequence)), what);
  if (pdu.number === view.chosen) row.setAttribute("aria-selected", "true");
  row.addEventListener("click", () => choose(pdu.number));
  return row;
}

// Newest first: the list grows at the top, and stays where it is when somebody has scrolled down.
function addRows(pdus) {
  const side = $("list-side");
  const before = side.scrollHeight;
  $("rows").prepend(...pdus.map(rowOf).reverse());
  while ($("rows").children.length > KEPT) $("rows").lastChild.remove();
  if (side.scrollTop > 0) side.scrollTop += side.scrollHeight - before;
  $("none").hidden = $("rows").children.length > 0;
}

async function fetchRows() {
  const words = query();
  const filters = words.toString();
  if (filters !== view.filters) {
    view.filters = filters;
    view.last = 0;
    $("rows").replaceChildren();
  }
  words.set("after", String(view.last));
  words.set("limit", String(KEPT));
  const pdus = await call(`/api/pdus?${words}`);
  if (filters !== view.filters) return;
  if (pdus.length > 0) view.last = pdus.at(-1).number;
  addRows(pdus);
}

function drawStatus(status) {
  const binds = status.binds.length === 1 ? "1 bind" : `${status.binds.length} binds`;
  $("status").textContent = `${status.name} · ${binds} · ${status.counts.submits} submitted · ${status.counts.violations} violations`;
  const connections = status.binds.map((bind) => `${bind.connection} ${bind.system_id}`).join("\n");
  if (connections !== view.connections) {
    view.connections = connections;
    const chosen = $("connection").value;
    const options = status.binds.map((bind) => new Option(`${bind.system_id || "(no name)"} #${bind.connection}`, bind.connection));
    $("connection").replaceChildren(new Option("all", ""), ...options);
    $("connection").value = status.binds.some((bind) => String(bind.connection) === chosen) ? chosen : "";
  }
  if (status.smscs.length > 1 && $("smsc").options.length === 0) {
    $("smsc").replaceChildren(...status.smscs.map((name) => new Option(name, name)));
    $("smsc-field").hidden = false;
  }
}

let isBusy = false;
let isStale = false;
async function refresh() {
  if (isBusy) { isStale = true; return; }
  isBusy = true;
  try {
    do {
      isStale = false;
      const smsc = $("smsc").value;
      drawStatus(await call(`/api/status${smsc ? `?smsc=${encodeURIComponent(smsc)}` : ""}`));
      if (!view.paused) await fetchRows();
    } while (isStale);
  } catch (error) {
    $("status").textContent = error instanceof TypeError ? "the simulator does not answer" : error.message;
  } finally {
    isBusy = false;
  }
}

function lightUp(place) {
  for (const node of document.querySelectorAll(".lit")) node.classList.remove("lit");
  if (place === null) return;
  for (const node of document.querySelectorAll(`[data-part="${place}"]`)) node.classList.add("lit");
}

function valueOf(part) {
  if (Array.isArray(part.value)) return part.value.map((each) => each.join(" ")).join(", ");
  const text = String(part.value);
  const isOctets = part.name === "short_message" || part.name.startsWith("message_payload") || part.name === "octets";
  return isOctets && text.length > 48 ? `${text.slice(0, 48)}… (${text.length / 2} octets)` : text;
}

function drawFields(fields) {
  $("parts").replaceChildren(...fields.map((part, place) => {
    const row = make("tr", part.kind);
    row.dataset.part = place;
    row.tabIndex = 0;
    const value = make("td", "", valueOf(part));
    if (part.means) value.append(make("span", "means", part.means));
    row.append(make("td", "", part.start.toString(16).padStart(4, "0")), make("td", "", part.name), value);
    row.addEventListener("mouseenter", () => lightUp(place));
    row.addEventListener("mouseleave", () => lightUp(null));
    row.addEventListener("focus", () => lightUp(place));
    row.addEventListener("click", () => lightUp(place));
    return row;
  }));
}

function drawOctets(hex, fields) {
  const lines = document.createDocumentFragment();
  const placeAt = (offset) => fields.findIndex((part) => part.start <= offset && offset < part.end);
  const width = matchMedia("(max-width: 44rem)").matches ? 8 : 16;
  for (let start = 0; start < hex.length / 2; start += width) {
    lines.append(make("span", "offset", `${start.toString(16).padStart(4, "0")}  `));
    let shown = "";
    for (let at = start; at < start + width; at += 1) {
      const octet = hex.slice(2 * at, 2 * at + 2);
      if (octet === "") { lines.append("   "); continue; }
      const place = placeAt(at);
      const node = make("span", `octet ${fields[place]?.kind ?? ""}`, octet);
      node.dataset.part = place;
      node.addEventListener("mouseenter", () => lightUp(place));
      node.addEventListener("mouseleave", () => lightUp(null));
      const isLastOfPart = placeAt(at + 1) !== place;
      lines.append(node, isLastOfPart ? " " : "");
      if (!isLastOfPart) node.append(" ");
      const code = parseInt(octet, 16);
      shown += code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : "·";
    }
    lines.append(make("span", "offset", ` ${shown}`), "\n");
  }
  $("hex").replaceChildren(lines);
}

function drawContent(content) {
  const rows = [];
  const add = (name, value, className = "") => rows.push(make("dt", "", name), make("dd", className, value));
  if (content.receipt) for (const [name, value] of Object.entries(content.receipt)) add(name.replace("_", " "), value);
  else if (content.text !== undefined) add("text", content.text ?? `${content.octets} octets: ${content.hex}`, content.text ? "text" : "");
  for (const word of content.udh ?? []) add("header", word);
  $("content").replaceChildren(...rows);
}

async function choose(number) {
  view.chosen = number;
  for (const row of $("rows").children) row.toggleAttribute("aria-selected", false);
  const row = [...$("rows").children].find((each) => each.dataset.number === String(number));
  row?.setAttribute("aria-selected", "true");
  history.replaceState(null, "", number ? `#${number}` : "#");
  $("inspector").classList.toggle("open", number > 0);
  $("detail").hidden = number === 0;
  if (number === 0) { row?.querySelector("button")?.focus(); return; }
  const smsc = $("smsc").value;
  try {
    const pdu = await call(`/api/pdus/${number}${smsc ? `?smsc=${encodeURIComponent(smsc)}` : ""}`);
    $("detail-name").textContent = `${pdu.direction === "in" ? "→" : "←"} ${pdu.command}`;
    const facts = [`#${pdu.number}`, clock(pdu.at), `${pdu.label || "no bind"} #${pdu.connection}`, `sequence ${pdu.sequence}`, `${pdu.octets} octets`];
    if (pdu.answers) facts.push(`answers #${pdu.answers.number} after ${pdu.answers.ms.toFixed(1)} ms`);
    $("facts").textContent = facts.join(" · ");
    const wrong = [pdu.fault && `spoilt on purpose: ${pdu.fault}`, pdu.status && pdu.status_name, pdu.problem].filter(Boolean);
    $("problem").textContent = wrong.join(" · ");
    $("problem").hidden = wrong.length === 0;
    drawContent(pdu.content);
    drawFields(pdu.fields);
    drawOctets(pdu.hex, pdu.fields);
    $("detail").scrollTop = 0;
  } catch (error) { complain(error); }
}

$("filters").addEventListener("input", refresh);
$("filters").addEventListener("submit", (event) => { event.preventDefault(); refresh(); });
$("close").addEventListener("click", () => choose(0));
document.addEventListener("keydown", (event) => { if (event.key === "Escape") choose(0); });
$("pause").addEventListener("click", () => {
  view.paused = !view.paused;
  $("pause").setAttribute("aria-pressed", String(view.paused));
  $("pause").textContent = view.paused ? "Go on" : "Pause";
  refresh();
});
$("clear").addEventListener("click", async () => {
  const smsc = $("smsc").value;
  try {
    await call(`/api/pdus${smsc ? `?smsc=${encodeURIComponent(smsc)}` : ""}`, { method: "DELETE" });
    $("rows").replaceChildren();
    $("none").hidden = false;
    choose(0);
  } catch (error) { complain(error); }
});

const events = new EventSource("/api/events");
events.addEventListener("change", refresh);
events.addEventListener("open", () => { refresh(); if (view.chosen) choose(view.chosen); });
events.addEventListener("error", () => { $("status").textContent = "the simulator does not answer; trying again"; });
refresh();
