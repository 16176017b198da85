// Starts the page: its language, its theme, its keys, and what it shows.

import { html, render } from "./html.js";
import { start } from "./live.js";
import { Page, dress } from "./page.js";
import { changed, drawWith, state } from "./state.js";
import { speak } from "./words.js";

/** How often times that go by are drawn again. */
const TICK_MS = 1_000;

function followAddress() {
  try {
    state.selected = decodeURIComponent(location.hash.slice(1)) || null;
  } catch {
    state.selected = null;
  }
  changed();
}

function press(event) {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const search = document.getElementById("search");
  if (key === "/" && search !== null && !target.closest("input, select, dialog")) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (key === "Escape" && target === search && search.value !== "") {
    state.search = "";
    changed();
  } else if (key === "Escape" && target === search) {
    search.blur();
  }
}

speak();
dress();
drawWith(() => render(html`<${Page} />`, document.getElementById("app")));
document.addEventListener("keydown", press);
addEventListener("hashchange", followAddress);
addEventListener("resize", changed);
addEventListener("scroll", changed, { passive: true });
setInterval(changed, TICK_MS);
followAddress();
start();
