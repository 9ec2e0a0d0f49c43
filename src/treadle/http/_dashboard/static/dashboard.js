// What links and forms cannot do: keys, the theme, and fetching news. Pages work without it.
"use strict";

const page = document.getElementById("main");
const live = () => document.getElementById("live");
const help = document.getElementById("help");
const liveSwitch = document.getElementById("live-switch");
const themeSwitch = document.getElementById("theme-switch");
const refreshes = live()?.hasAttribute("hx-get") ?? false;
const REFRESH_MS = 5000;

// --- theme ---------------------------------------------------------------------------------------

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function showTheme() {
  themeSwitch.textContent = isDark() ? "Light" : "Dark";
}

function switchTheme() {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  const root = new URL(document.querySelector("a.brand").href).pathname;
  document.cookie = `treadle-theme=${theme}; path=${root}; max-age=31536000; samesite=lax`;
  showTheme();
}

themeSwitch.hidden = false;
themeSwitch.addEventListener("click", switchTheme);
showTheme();

// --- news ----------------------------------------------------------------------------------------

let isPaused = sessionStorage.getItem("treadle-paused") === "true";
let hasNews = false;

function isBusy() {
  const selected = getSelection();
  const active = document.activeElement;
  return (
    document.hidden ||
    (live().contains(active) && active.matches("input, textarea, select")) ||
    (selected !== null && !selected.isCollapsed) ||
    document.querySelector("dialog[open]") !== null ||
    live().querySelector("input:checked") !== null ||
    [...live().querySelectorAll("input, textarea")].some((field) => field.value !== field.defaultValue)
  );
}

function refresh() {
  hasNews = true;
  if (isPaused || isBusy()) return;
  hasNews = false;
  live().dispatchEvent(new CustomEvent("refresh"));
}

function isAtEnd() {
  const root = document.documentElement;
  return root.scrollHeight - root.scrollTop - root.clientHeight < 80;
}

function keepAtEnd(change) {
  const was = isAtEnd();
  change();
  if (was) scrollTo({ top: document.documentElement.scrollHeight });
}

// --- a thread that is being written --------------------------------------------------------------

const streamUrl = live()?.dataset.stream;
const writing = document.getElementById("writing");
const messages = new Map();
let source = null;

function partOf(piece) {
  const key = `${piece.part}/${piece.tool_call_id ?? ""}`;
  let message = messages.get(piece.message_id);
  if (!message) {
    const box = document.createElement("div");
    box.className = "message";
    box.append(Object.assign(document.createElement("strong"), { textContent: "assistant, being written" }));
    writing.append(box);
    message = { box, parts: new Map() };
    messages.set(piece.message_id, message);
  }
  let part = message.parts.get(key);
  if (!part) {
    const text = document.createElement("div");
    text.className = piece.part === "text" ? "content" : "content quiet";
    if (piece.tool_name) text.textContent = `${piece.tool_name} `;
    message.box.append(text);
    part = { text, next: 0 };
    message.parts.set(key, part);
  }
  return part;
}

function write(piece) {
  if (document.querySelector(`[data-message="${CSS.escape(piece.message_id)}"]`)) return;
  if (piece.number > 0 && !messages.has(piece.message_id)) return;
  const part = partOf({ part: "text", ...piece });
  if (piece.number !== part.next) return;
  part.next += 1;
  keepAtEnd(() => part.text.append(visible(piece.delta)));
}

// As the server does it: a text in which nothing is hidden.
function visible(text) {
  return text.replace(/(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (found) =>
    found === "\n" || found === "\t" ? found : `\\u${found.codePointAt(0).toString(16).padStart(4, "0")}`,
  );
}

function dropWritten() {
  for (const [id, message] of messages) {
    if (document.querySelector(`[data-message="${CSS.escape(id)}"]`)) {
      message.box.remove();
      messages.delete(id);
    }
  }
}

function follow() {
  if (!streamUrl) return;
  const wanted = !isPaused && !document.hidden;
  if (source?.readyState === EventSource.CLOSED) source = null; // the browser has given up
  if (wanted && source === null) {
    source = new EventSource(streamUrl);
    source.addEventListener("news", refresh);
    source.addEventListener("piece", (event) => write(JSON.parse(event.data)));
    source.addEventListener("open", () => showConnection(true));
    source.addEventListener("error", () => {
      showConnection(false);
      // The server refused the stream. Asking for the page shows why: it may lead to the login.
      if (source?.readyState === EventSource.CLOSED) refresh();
    });
  } else if (!wanted && source !== null) {
    source.close();
    source = null;
  }
}

document.addEventListener("htmx:before:swap", () => (live().dataset.atEnd = String(isAtEnd())));
document.addEventListener("htmx:after:swap", () => {
  dropWritten();
  if (streamUrl && live().dataset.atEnd === "true") scrollTo({ top: document.documentElement.scrollHeight });
});
document.addEventListener("htmx:error", () => showConnection(false));
document.addEventListener("htmx:after:swap", () => showConnection(true));
addEventListener("pagehide", () => source?.close());
document.addEventListener("visibilitychange", follow);

// --- pausing -------------------------------------------------------------------------------------

let isConnected = true;

function showConnection(isOpen) {
  isConnected = isOpen;
  showLive();
}

function showLive() {
  liveSwitch.textContent = isPaused ? "Paused" : isConnected ? "Live" : "No connection";
  liveSwitch.setAttribute("aria-pressed", String(!isPaused));
}

function switchLive() {
  isPaused = !isPaused;
  sessionStorage.setItem("treadle-paused", String(isPaused));
  showLive();
  follow();
  if (!isPaused) refresh();
}

if (refreshes) {
  liveSwitch.hidden = false;
  liveSwitch.addEventListener("click", switchLive);
  setInterval(() => {
    if (!streamUrl || hasNews) refresh();
    follow();
  }, REFRESH_MS);
  showLive();
  follow();
}

// --- keys ----------------------------------------------------------------------------------------

let afterG = false;

function rows() {
  return [...page.querySelectorAll("tr[data-row]")];
}

function currentRow() {
  return document.activeElement.closest("tr[data-row]");
}

function moveTo(step) {
  const all = rows();
  const at = all.indexOf(currentRow());
  const next = all[at === -1 ? (step > 0 ? 0 : all.length - 1) : at + step];
  next?.querySelector("a, button, input")?.focus();
}

function select() {
  currentRow()?.querySelector("input[type=checkbox]")?.click();
}

const actions = {
  "/": () => document.getElementById("search")?.focus(),
  j: () => moveTo(1),
  k: () => moveTo(-1),
  x: select,
  r: () => refreshes && switchLive(),
  t: switchTheme,
  "?": () => help.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const inField = event.target.matches?.("input:not([type=checkbox]), textarea, select");
  if (inField || document.querySelector("dialog[open]")) return;
  if (afterG) {
    afterG = false;
    const link = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
    if (link) {
      event.preventDefault();
      link.click();
      return;
    }
  }
  if (event.key === "g") {
    afterG = true;
    return;
  }
  if (Object.hasOwn(actions, event.key)) {
    event.preventDefault();
    actions[event.key]();
  }
});
