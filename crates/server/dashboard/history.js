// The history of one credential: who refreshed, why, and with which outcome; and its last days at a glance.

import { Component, html } from "./html.js";
import { EventList } from "./events.js";
import { readHistory, readOlder } from "./live.js";
import { state } from "./state.js";
import { count, instant, span, w, when } from "./words.js";

/** How a line is drawn: as a success, a failure, something that was asked for, or something to know. */
const TONES = {
  refreshed: "good", unchanged: "good",
  refused: "bad", unknown: "bad", not_sent: "bad", fenced: "bad", unfinished: "bad", lost: "bad",
  adopted: "warning", reported: "warning", forced: "warning", invalidated: "warning",
};
const SIGNS = { good: "✓", bad: "✕", warning: "▲", other: "·" };
const toneOf = (line) => TONES[line.type] ?? "other";

export class History extends Component {
  componentDidMount() {
    readHistory(this.props.id);
  }

  render({ id }) {
    const history = state.history?.id === id ? state.history : null;
    return html`<section class="history" aria-labelledby="history"><h3 id="history">${w.history}</h3>
      <${Told} id=${id} history=${history} /></section>`;
  }
}

function Told({ id, history }) {
  if (history === null) return html`<p class="hint">${w.loading}</p>`;
  if (history.failed) {
    return html`<p class="hint">${w.historyFailed}</p>
      <${EventList} events=${state.events.filter((event) => event.id === id)} named=${false} />`;
  }
  const { entries, next } = history;
  if (entries.length === 0) return html`<p class="hint">${w.noHistory}</p>`;
  return html`<${Timeline} lines=${entries} />
    <${LineList} lines=${entries} named=${false} />
    ${next !== undefined && html`<button id="older" onClick=${readOlder}>${w.older}</button>`}`;
}

/** Lines, newest first. */
export function LineList({ lines, named, choose }) {
  const kinds = new Set(lines.map((line) => line.kind));
  return html`<ol class="events lines">${lines.map((line) => html`<li key=${line.id + line.kind + line.entry} data-line=${line.type}>
    <time datetime=${new Date(line.time_ms).toISOString()} title=${instant(line.time_ms)}>${when(line.time_ms)}</time>
    ${named && html` <button class="link" onClick=${() => choose(line.id)}>${line.id}</button>`}
    <span class="what ${toneOf(line)}"> <span class="sign" aria-hidden="true">${SIGNS[toneOf(line)]}</span> ${w.line[line.type] ?? line.type}</span>
    <small> ${[kinds.size > 1 && line.kind, line.by && w.by(line.by), line.reason && (w.why[line.reason] ?? line.reason)].filter(Boolean).join(" · ")}</small>
    <${More} line=${line} /></li>`)}</ol>`;
}

/** What else of a line matters. */
function More({ line }) {
  const parts = [];
  if (line.type === "refreshed") parts.push(w.generation(line.generation));
  if (line.layout !== undefined) parts.push(w.foundAt(line.layout));
  if (line.life_ms !== undefined) parts.push(w.validFor(span(line.life_ms / 1000)));
  if (line.took_ms !== undefined) parts.push(w.took(`${count(line.took_ms)}\u202fms`));
  const doubts = (line.doubt ?? []).map((reason) => w.doubt[reason] ?? reason);
  if (doubts.length > 0) parts.push(w.note.doubt + w.colon + doubts.join(w.semicolon));
  if (line.code !== undefined) parts.push(`${line.code}${w.colon}${line.meaning ?? ""}`);
  if (line.retry_at_ms > line.time_ms) {
    parts.push((line.message === undefined ? w.servedFrom : w.triedFrom)(when(line.retry_at_ms)));
  }
  if (line.times > 1) parts.push(w.timesSince(count(line.times), when(line.since_ms)));
  if (parts.length === 0 && line.message === undefined) return null;
  return html`<p class="more">${parts.join(" · ")}${line.message !== undefined && html` <q>${line.message}</q>`}</p>`;
}

/** The width of the drawing, in units of its own. */
const WIDTH = 520;
const HEIGHT = 44;
const MIDDLE = 20;
/** With fewer lines than this there is nothing to see at a glance. */
const LEAST = 3;

/** The lines over time, from the oldest that is shown until now. */
function Timeline({ lines }) {
  const now = Math.max(Date.now(), lines[0].time_ms);
  const begin = lines.at(-1).time_ms;
  if (lines.length < LEAST || now <= begin) return null;
  const at = (line) => 12 + ((line.time_ms - begin) / (now - begin)) * (WIDTH - 24);
  const tally = { good: 0, bad: 0, warning: 0, other: 0 };
  for (const line of lines) tally[toneOf(line)] += line.times;
  const told = w.timeline(when(begin), count(tally.good), count(tally.bad), count(tally.warning));
  // The oldest first, so that what came later is drawn above it.
  return html`<figure class="timeline">
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label=${told} preserveAspectRatio="none">
      <line class="axis" x1="0" x2=${WIDTH} y1=${MIDDLE} y2=${MIDDLE} />
      ${lines.toReversed().map((line) => html`<${Mark} key=${line.entry} line=${line} x=${at(line)} />`)}
    </svg>
    <figcaption><span>${when(begin)}</span><span class="tally">
      ${["good", "bad", "warning"].map((tone) => tally[tone] > 0 && html`<span key=${tone} class=${tone}><span aria-hidden="true">${SIGNS[tone]}</span> ${w.tally[tone](count(tally[tone]))}</span>`)}</span>
      <span>${w.now}</span></figcaption>
  </figure>`;
}

/** Each tone has a shape, too: nobody has to tell colours apart. */
function Mark({ line, x }) {
  const tone = toneOf(line);
  const title = `${when(line.time_ms)} ${w.line[line.type] ?? line.type}`;
  const shape = {
    good: `M${x} ${MIDDLE - 14}V${MIDDLE + 14}`,
    bad: `M${x - 7} ${MIDDLE - 9}L${x + 7} ${MIDDLE + 9}M${x - 7} ${MIDDLE + 9}L${x + 7} ${MIDDLE - 9}`,
    warning: `M${x - 7} ${MIDDLE + 18}L${x} ${MIDDLE + 6}L${x + 7} ${MIDDLE + 18}Z`,
    other: `M${x} ${MIDDLE - 4}V${MIDDLE + 4}`,
  }[tone];
  return html`<path class=${tone} d=${shape}><title>${title}</title></path>`;
}
