// The credentials, of which only the rows that are in sight are drawn: there may be ten thousand.

import { Badge, Component, html } from "./html.js";
import { select } from "./actions.js";
import { changed, isValid, left, state, tone } from "./state.js";
import { ago, span, w } from "./words.js";

/** Heights of a row as layout.css has them, wide and narrow. */
const WIDE = 60;
const NARROW = 160;
const narrow = matchMedia("(max-width: 760px)");
const rowHeight = () => (narrow.matches ? NARROW : WIDE);
/** Rows drawn above and below what is in sight. */
const SPARE = 6;

export class Table extends Component {
  /** The row that Tab leads to: the others are reached from it. */
  active = 0;
  /** Whether the active row is to have the focus when it is drawn. */
  wanted = false;

  componentDidMount() {
    changed();
  }

  componentDidUpdate() {
    if (!this.wanted) return;
    this.wanted = false;
    this.body.querySelector(`[data-row="${this.active}"]`)?.focus({ preventScroll: true });
  }

  press = (event) => {
    const count = this.props.credentials.length;
    const screen = Math.max(1, Math.floor(innerHeight / rowHeight()) - 2);
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: screen, PageUp: -screen, Home: -count, End: count }[event.key];
    if (by === undefined || !event.target.dataset.row) return;
    event.preventDefault();
    this.active = Math.min(Math.max(Number(event.target.dataset.row) + by, 0), count - 1);
    this.show(this.active);
    this.wanted = true;
    this.forceUpdate();
  };

  /** Scrolls so that row `index` is in sight. */
  show(index) {
    const height = rowHeight();
    const top = this.body.getBoundingClientRect().top + index * height;
    const head = narrow.matches ? 0 : height;
    if (top < head) scrollBy(0, top - head);
    else if (top + height > innerHeight) scrollBy(0, top + height - innerHeight);
  }

  render({ credentials }) {
    const height = rowHeight();
    const count = credentials.length;
    const top = this.body?.getBoundingClientRect().top ?? 0;
    const first = Math.min(Math.max(0, Math.floor(-top / height) - SPARE), Math.max(0, count - 1));
    const last = Math.min(count, Math.ceil((innerHeight - top) / height) + SPARE);
    this.active = Math.min(this.active, Math.max(0, count - 1));
    const reachable = this.active >= first && this.active < last ? this.active : Math.min(first + SPARE, count - 1);
    const above = first * height;
    const below = Math.max(0, count - last) * height;
    const columns = Object.entries(w.columns);
    return html`<div role="table" class="table" aria-labelledby="credentials" aria-describedby="keys-hint"
      aria-rowcount=${count + 1}>
      <p id="keys-hint" class="unseen">${w.keysHint}</p>
      <div role="rowgroup" class="heads"><div role="row" class="row head" aria-rowindex="1">
        ${columns.map(([name, text]) => html`<div key=${name} role="columnheader" class=${name}>${text}</div>`)}
      </div></div>
      <div role="rowgroup" ref=${(e) => (this.body = e)} onKeyDown=${this.press}>
        <div role="presentation" style=${{ height: `${above}px` }}></div>
        ${credentials.slice(first, last).map((credential, offset) => {
          const index = first + offset;
          const focus = () => {
            this.active = index;
          };
          return html`<${Row} key=${credential.id} credential=${credential} index=${index}
            reachable=${index === reachable} onFocus=${focus} />`;
        })}
        <div role="presentation" style=${{ height: `${below}px` }}></div>
      </div>
      ${count === 0 && state.loaded && html`<p class="nothing">${state.credentials.size === 0 ? w.none : w.nothing}</p>`}
    </div>`;
  }
}

/** A credential, by that of its kinds that is worst off. */
function Row({ credential, index, reachable, onFocus }) {
  const kind = worst(credential);
  const open = (event) => {
    event.stopPropagation();
    select(credential.id);
  };
  // Who marks text in a row wants to copy it.
  const press = (event) => String(getSelection()) === "" && open(event);
  return html`<div role="row" class="row" aria-rowindex=${index + 2} onClick=${press}>
    <div role="cell" class="id"><button class="link" data-row=${index} tabindex=${reachable ? 0 : -1}
        onFocus=${onFocus} onClick=${open} title=${credential.id}>${credential.id}</button>
      <small>${credential.provider}</small></div>
    <div role="cell" class="status"><${Status} credential=${credential} kind=${kind} /></div>
    <div role="cell" class="life"><${Life} credential=${credential} kind=${kind} /></div>
    <div role="cell" class="next"><span class="name">${w.columns.next} </span>${nextRefresh(credential, kind)}</div>
    <div role="cell" class="last"><span class="name">${w.columns.last} </span>${kind.issued_at > 0 ? ago(kind.issued_at) : w.never}
      ${kind.worker && html`<small> ${kind.issued_at > 0 ? w.by(kind.worker) : w.triedBy(kind.worker)}</small>`}</div>
    <div role="cell" class="generation"><span class="name">${w.columns.generation} </span>${kind.generation}</div>
    <div role="cell" class="notes">${notes(kind).join(" · ")}</div>
  </div>`;
}

const ORDER = ["bad", "warning", "waiting", "paused", "good"];

function worst(credential) {
  const rank = (kind) => ORDER.indexOf(tone(credential, kind));
  return credential.kinds.reduce((worst, kind) => (rank(kind) < rank(worst) ? kind : worst));
}

export function Status({ credential, kind }) {
  const name = kind.known ? (w.status[kind.status] ?? kind.status) : w.unknown;
  const dead = kind.known && kind.generation > 0 && !isValid(credential, kind);
  return html`<${Badge} tone=${tone(credential, kind)}>${name}<//>
    ${dead && html`<small class="bad">${w.invalid}</small>`}`;
}

/** What is left of the token's life, as a bar and in words. */
export function Life({ credential, kind }) {
  const seconds = left(credential, kind.expires_in);
  if (!isValid(credential, kind)) return html`<span class="none">${kind.generation > 0 ? w.expired : "–"}</span>`;
  const whole = Math.max(1, kind.expires_at - kind.issued_at);
  const share = Math.min(100, Math.max(1, (100 * seconds) / whole));
  return html`<span class="bar ${share < 10 ? "short" : ""}" aria-hidden="true"><span style=${{ width: `${share}%` }}></span></span>
    <span class="left">${span(seconds)}</span>`;
}

export function nextRefresh(credential, kind) {
  if (kind.refreshing) return w.refreshing;
  if (kind.refresh_in === undefined) return kind.status === "paused" ? w.whilePaused : "–";
  const seconds = left(credential, kind.refresh_in);
  return seconds < 1 ? w.soon : w.in(span(seconds));
}

/** What else a person should see at a glance. */
export function notes(kind) {
  const notes = [];
  for (const status of new Set(kind.refusals.map((refusal) => refusal.status))) {
    const met = kind.refusals.filter((refusal) => refusal.status === status).map((refusal) => refusal.worker ?? w.everybody);
    const workers = [...new Set(met)].sort().join(w.comma);
    notes.push(status === kind.status ? workers : w.note.refused(workers, w.status[status] ?? status));
  }
  if (kind.doubt.length > 0) notes.push(w.note.doubt);
  if (kind.rejected) notes.push(w.note[kind.rejected]);
  if (kind.reports_today > 0) notes.push(w.note.reports(kind.reports_today));
  return notes;
}
