// The workers that live, and what happens.

import { html } from "./html.js";
import { select } from "./actions.js";
import { LineList } from "./history.js";
import { EVENTS_MAX, earlier, isTicket, state } from "./state.js";
import { instant, span, time, w } from "./words.js";

/** So many are drawn; the rest waits for a search by credential. */
const DRAWN = 100;
const wide = matchMedia("(min-width: 1180px)");

export function Workers() {
  const known = state.living.length > 0;
  return html`<details id="workers" open=${wide.matches}>
    <summary><h2>${w.workers} ${known && html`<span class="count">${state.living.length}</span>`}</h2></summary>
    ${known ? html`<ul class="workers">${state.living.map(({ name, identity, this: answers }) =>
      html`<li key=${identity} title=${identity}>${name}${answers && html` <small>${w.thisOne}</small>`}</li>`)}</ul>` : html`<p class="hint">${w.noWorkers}</p>`}
  </details>`;
}

export function Events() {
  const past = earlier();
  return html`<details id="events" open=${wide.matches}>
    <summary><h2>${w.events} <span class="count">${state.events.length}</span></h2></summary>
    <p class="hint">${w.eventsHint(EVENTS_MAX)}</p>
    <${EventList} events=${state.events} named=${true} />
    ${past.length > 0 && html`<h3>${w.past}</h3><${LineList} lines=${past} named=${true} choose=${select} />`}
  </details>`;
}

export function EventList({ events, named }) {
  if (events.length === 0) return html`<p class="hint">${w.noEvents}</p>`;
  return html`<ol class="events">${events.slice(0, DRAWN).map((event) => html`<li key=${event.number} data-event=${event.type}>
    <time datetime=${new Date(event.time_ms).toISOString()} title=${instant(event.time_ms)}>${time(event.time_ms)}</time>
    ${named && html` <button class="link" onClick=${() => select(event.id)}>${event.id}</button>`}
    ${isTicket(event.kind) && html` <code>${event.kind}</code>`}
    <span class="what"> ${w.event[event.type] ?? event.type}</span><small> ${more(event)}</small></li>`)}</ol>`;
}

/** What of an event matters. */
function more(event) {
  switch (event.type) {
    case "claimed":
      return [event.worker, event.reason && (w.why[event.reason] ?? event.reason)].filter(Boolean).join(" · ");
    case "refreshed":
      return `${w.generation(event.generation)} · ${event.worker} · ${span((event.expires_at_ms - event.time_ms) / 1000)}`;
    case "adopted":
      return `${w.generation(event.generation)} · ${w.foundAt(event.layout)}`;
    case "refused":
      return [event.worker, event.error_code, event.error_message].filter((part) => part !== undefined).join(" · ");
    case "doubted":
      return (event.doubt ?? []).map((reason) => w.doubt[reason] ?? reason).join(" · ");
    case "reported":
    case "lost":
      return event.fingerprint ?? "";
    default:
      return "";
  }
}
