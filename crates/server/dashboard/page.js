// The page as a whole: its head, what is wrong with the data, the filters, and where the rest stands.

import { Component, Dialog, html } from "./html.js";
import { dismiss } from "./actions.js";
import { bearer } from "./calls.js";
import { Detail } from "./detail.js";
import { Events, Workers } from "./events.js";
import { load, signOut, start } from "./live.js";
import { changed, counts, shown, state } from "./state.js";
import { Table } from "./table.js";
import { LANGUAGES, ago, language, speak, time, w } from "./words.js";

const THEME = "zhongkong.theme";
const theme = () => localStorage.getItem(THEME) ?? "system";

/** Puts on `wanted`, and remembers that; without it, what was chosen before, or what the system prefers. */
export function dress(wanted = theme()) {
  localStorage.setItem(THEME, wanted);
  document.documentElement.dataset.theme = wanted;
}

export function Page() {
  document.title = title();
  return html`
    ${state.signIn === null && html`<a class="skip" href="#credentials" onClick=${skip}>${w.skip}</a>`}
    <${Head} />
    ${state.signIn !== null ? html`<${SignIn} why=${state.signIn} />` : html`<${Body} />`}
    <div class="unseen" role="status" aria-live="polite">${state.announcement}</div>`;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("credentials")?.focus();
}

/** How many credentials need a person is told even where the page is in the background. */
function title() {
  const waiting = state.signIn === null ? counts().get("person") : 0;
  return `${waiting > 0 ? `(${waiting}) ` : ""}zhongkong`;
}

function Head() {
  const { worker } = state;
  return html`<header>
    <h1><span class="mark" aria-hidden="true">中</span><span>zhongkong</span> <small>${w.tagline}</small></h1>
    ${worker && html`<p class="who">${w.answeredBy(worker.worker, worker.version)}</p>`}
    ${state.signIn === null && html`<${Liveness} />`}
    <div class="switches">
      <${Choice} id="language" label=${w.language} value=${language()} options=${LANGUAGES} choose=${chooseLanguage} />
      <${Choice} id="theme" label=${w.theme} value=${theme()} options=${w.themes} choose=${chooseTheme} />
      ${worker && bearer.get() && html`<span class="who">${w.scope(worker.caller.name, worker.caller.scope)}</span>
        <button id="sign-out" onClick=${() => signOut("ended")}>${w.signOut}</button>`}
    </div>
  </header>`;
}

function chooseLanguage(wanted) {
  speak(wanted);
  // The worker says in that language what refusals mean.
  if (state.signIn === null) load();
  changed();
}

function chooseTheme(wanted) {
  dress(wanted);
  changed();
}

function Liveness() {
  const { live, worker } = state;
  const [name, text] = live ? ["good", w.live] : worker ? ["warning", w.notLive] : ["waiting", w.connecting];
  return html`<p id="liveness" class="liveness ${name}">${text}</p>`;
}

function Choice({ id, label, value, options, choose }) {
  return html`<label class="choice"><span>${label}</span>
    <select id=${id} value=${value} onChange=${(event) => choose(event.target.value)}>
      ${Object.entries(options).map(([key, text]) => html`<option key=${key} value=${key} selected=${key === value}>${text}</option>`)}
    </select></label>`;
}

class SignIn extends Component {
  componentDidMount() {
    this.field.focus();
  }

  componentDidUpdate() {
    if (document.activeElement === document.body) this.field.focus();
  }

  render({ why }) {
    const submit = (event) => {
      event.preventDefault();
      const token = this.field.value.trim();
      if (token === "") return;
      bearer.set(token);
      this.field.value = "";
      start();
      changed();
    };
    return html`<main class="sign-in"><form onSubmit=${submit}>
      <h2>${w.signIn}</h2>
      <p id="reason" role="alert" class=${why === "needed" || why === "ended" ? "" : "bad"}>${w.signInReasons[why]}</p>
      <label for="bearer">${w.bearer}</label>
      <input id="bearer" type="password" autocomplete="off" spellcheck="false" aria-describedby="bearer-hint reason" required
        ref=${(e) => (this.field = e)} />
      <p id="bearer-hint" class="hint">${w.bearerHint}</p>
      <button class="primary" type="submit">${w.signIn}</button>
    </form></main>`;
  }
}

function Body() {
  const selected = state.selected !== null && (state.loaded || state.credentials.has(state.selected));
  return html`<${Banners} />
    <div class="columns">
      <main aria-labelledby="credentials">
        <h2 id="credentials" tabindex="-1">${w.credentials}</h2>
        <${Controls} />
        <${Table} credentials=${shown()} />
      </main>
      <aside><${Workers} /><${Events} /></aside>
    </div>
    ${selected && html`<${Detail} key=${state.selected} id=${state.selected} />`}
    ${state.question !== null && html`<${Question} question=${state.question} />`}`;
}

function Banners() {
  const { lostSince, worker } = state;
  const banners = [];
  if (lostSince !== null) banners.push(w.lostSince(time(lostSince), ago(lostSince / 1000)));
  else if (worker && !worker.store_up) {
    const since = Date.now() / 1000 - (worker.store_for ?? 0);
    banners.push(anythingKnown() ? w.redisDownFor(time(since * 1000), ago(since)) : w.redisNever);
  }
  if (worker?.stopping) banners.push(w.stopping);
  return html`<div id="banners">${banners.map((text) => html`<p class="banner">${text}</p>`)}
    ${worker && worker.caller.scope !== "admin" && html`<p class="banner quiet">${w.mayRead}</p>`}</div>`;
}

const anythingKnown = () => [...state.credentials.values()].some(({ kinds }) => kinds.some((kind) => kind.known));

function Controls() {
  const found = counts();
  const filters = [...found].filter(([name, count]) => count > 0 || name === "all" || name === state.filter);
  if (!found.has(state.filter)) filters.push([state.filter, 0]);
  const choose = (filter) => () => {
    state.filter = filter;
    changed();
  };
  const sort = (wanted) => {
    state.sort = wanted;
    changed();
  };
  const search = (event) => {
    state.search = event.target.value;
    changed();
  };
  return html`<div class="controls">
    <label class="search"><span class="unseen">${w.search}</span>
      <input id="search" type="search" value=${state.search} placeholder=${w.search + w.colon + w.searchHint}
        title=${w.searchKey} aria-keyshortcuts="/" autocomplete="off" spellcheck="false" onInput=${search} /></label>
    <${Choice} id="sort" label=${w.sort} value=${state.sort} options=${w.sorts} choose=${sort} />
    <div class="filters" role="group" aria-label=${w.filter}>
      ${filters.map(([name, count]) => html`<button key=${name} data-filter=${name} class="filter"
        aria-pressed=${String(state.filter === name)} onClick=${choose(name)}>
        ${w.filters[name] ?? w.status[name] ?? name} <span class="count">${count}</span></button>`)}
    </div>
    <p id="found" class="hint">${state.loaded ? w.countOf(shown().length, state.credentials.size) : w.loading}</p>
  </div>`;
}

function Question({ question: { title, text, yes, act } }) {
  return html`<${Dialog} name="question" labelledby="question-title" onClose=${dismiss}>
    <h2 id="question-title">${title}</h2>
    <p>${text}</p>
    <div class="buttons"><button autofocus onClick=${dismiss}>${w.cancel}</button>
      <button id="yes" class="primary" onClick=${act}>${yes}</button></div>
  <//>`;
}
