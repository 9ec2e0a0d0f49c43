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

function showLive() {
  liveSwitch.textContent = isPaused ? "Paused" : "Live";
  liveSwitch.setAttribute("aria-pressed", String(!isPaused));
  document.body.dispatchEvent(new CustomEvent("treadle:paused", { detail: isPaused }));
}

function switchLive() {
  isPaused = !isPaused;
  sessionStorage.setItem("treadle-paused", String(isPaused));
  showLive();
}

function isBusy() {
  const selected = getSelection();
  const inLive = live().contains(document.activeElement) && document.activeElement.matches("input, textarea, select");
  return (
    document.hidden ||
    inLive ||
    (selected !== null && !selected.isCollapsed) ||
    document.querySelector("dialog[open]") !== null ||
    live().querySelector("input:checked") !== null
  );
}

if (refreshes) {
  liveSwitch.hidden = false;
  liveSwitch.addEventListener("click", switchLive);
  setInterval(() => {
    if (!isPaused && !isBusy()) live().dispatchEvent(new CustomEvent("refresh"));
  }, REFRESH_MS);
  showLive();
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
