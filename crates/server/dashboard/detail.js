// One credential: all of its kinds, what the upstream refused, what to do, and its history.

import { Dialog, html } from "./html.js";
import { copy, force, isBusy, mayAct, pause, refresh, resume, select } from "./actions.js";
import { History } from "./history.js";
import { isTicket, isValid, left, state } from "./state.js";
import { Life, Status, nextRefresh } from "./table.js";
import { ago, instant, span, w } from "./words.js";

const close = () => select(null);

export function Detail({ id }) {
  const credential = state.credentials.get(id);
  const outcome = state.outcomes.get(id);
  return html`<${Dialog} name="detail" labelledby="detail-title" onClose=${close}>
    <div class="detail-head"><h2 id="detail-title">${id}</h2><div class="buttons">
      ${credential !== undefined && mayAct() && html`<${PauseButton} credential=${credential} />`}
      <button id="close" onClick=${close}>${w.close}</button></div></div>
    ${credential === undefined ? html`<p>${w.gone}</p>` : html`
      <p id="outcome" class=${outcome && !outcome.good ? "bad" : ""}>${isBusy(id) ? w.underWay : (outcome?.text ?? "")}</p>
      ${credential.kinds.map((kind) => html`<${Kind} key=${kind.kind} credential=${credential} kind=${kind} />`)}
      <${History} key=${id} id=${id} />`}
  <//>`;
}

function PauseButton({ credential }) {
  const { id, kinds } = credential;
  const paused = kinds.every((kind) => kind.status === "paused");
  const act = () => (paused ? resume(id) : pause(credential));
  return html`<button id="pause" aria-disabled=${String(isBusy(id))} onClick=${act}>${paused ? w.resume : w.pause}</button>`;
}

function Kind({ credential, kind }) {
  const { id } = credential;
  const name = kind.kind;
  const busy = isBusy(id);
  const dead = kind.known && !isValid(credential, kind);
  const steps = advice(credential, kind);
  return html`<section class="kind" aria-labelledby=${`kind-${name}`}>
    <h3 id=${`kind-${name}`}>${name}</h3>
    <p class="state"><${Status} credential=${credential} kind=${kind} /></p>
    ${dead ? html`<p class="bad">${w.lostToken}</p>`
      : html`<div class="life-line"><span>${w.life}</span><${Life} credential=${credential} kind=${kind} /></div>`}
    ${mayAct() && html`<div class="buttons" role="group" aria-label=${w.actions}>
      <button class="refresh" aria-disabled=${String(busy)} onClick=${() => refresh(id, name)}>${w.refresh}</button>
      <button class="force" aria-disabled=${String(busy)} onClick=${() => force(credential, name)}>${w.force}</button></div>`}
    <${KeyField} id=${id} kind=${kind} />
    <h4>${w.todo}</h4>
    <ul class="todo">${steps.map((text) => html`<li>${text}</li>`)}</ul>
    ${kind.doubt.length > 0 && html`<h4>${w.doubts}</h4><p class="hint">${w.doubtsHint}</p>
      <ul class="doubts">${kind.doubt.map((reason) => html`<li>${w.doubt[reason] ?? reason}</li>`)}</ul>`}
    ${kind.refusals.length > 0 && html`<h4>${w.refusals}</h4>
      <ul class="refusals">${kind.refusals.map((refusal) => html`<${Refusal} credential=${credential} kind=${kind} refusal=${refusal}
        advised=${steps.length > 1} />`)}</ul>`}
    ${kind.error && kind.refusals.length === 0 && html`<h4>${w.failure}</h4>
      <${Said} code=${kind.error.code} message=${kind.error.message} />`}
    <h4>${w.facts}</h4>
    <dl>${facts(credential, kind).map(([name, value]) => html`<div><dt>${w.fact[name]}</dt><dd>${value}</dd></div>`)}</dl>
  </section>`;
}

function KeyField({ id, kind }) {
  const field = `key-${kind.kind}`;
  const act = () => copy(id, kind.key, document.getElementById(field));
  return html`<div class="key"><label for=${field}>${w.fact.key}</label>
    <input id=${field} readonly value=${kind.key} spellcheck="false" />
    <button class="copy" aria-label=${w.copyKey(kind.key)} onClick=${act}>${w.copy}</button></div>`;
}

function Refusal({ credential, kind, refusal, advised }) {
  const wait = left(credential, refusal.retry_in);
  // A ticket's request holds no secret, but the access token.
  const scope = isTicket(kind.kind) && refusal.scope === "configuration" ? "access_token" : refusal.scope;
  return html`<li><strong>${w.status[refusal.status] ?? refusal.status}</strong> – ${refusal.meaning}
    <p>${w.concerns[scope](refusal.worker)}${w.semicolon}${wait < 1 ? w.mayTry : w.nextTry(span(wait))}</p>
    ${advised && html`<p class="advice">${w.todo}${w.colon}${refusal.advice}</p>`}
    <${Said} code=${refusal.code} message=${refusal.message} /></li>`;
}

/** The upstream's own words, which nobody vouches for: as text. */
const Said = ({ code, message }) =>
  html`<p class="said">${w.upstreamSaid}${code !== undefined && w.code(code)}${w.colon}<q>${message}</q></p>`;

/** The next steps, in words: those of the refusals first, once each. */
function advice(credential, kind) {
  if (!kind.known) return [w.advice.unknown];
  const steps = kind.refusals.map((refusal) => refusal.advice);
  if (kind.status === "paused" || steps.length === 0) steps.unshift(w.advice[kind.status] ?? w.advice.retrying);
  else if (kind.status === "ok" && isValid(credential, kind)) steps.unshift(w.advice.elsewhere);
  return [...new Set(steps)];
}

function facts(credential, kind) {
  const date = (seconds) => (seconds > 0 ? instant(seconds * 1000) : w.never);
  const facts = [
    ["provider", credential.provider],
    ["generation", kind.generation],
    ["worker", kind.worker || "–"],
    ["issued", kind.issued_at > 0 ? `${date(kind.issued_at)} (${ago(kind.issued_at)})` : w.never],
    ["next", nextRefresh(credential, kind)],
    ["expires", date(kind.expires_at)],
    ["reports", kind.reports_today],
    ["fingerprint", kind.fingerprint ?? "–"],
    ["fence", kind.fence],
  ];
  if (kind.layout) facts.push(["layout", kind.layout]);
  if (kind.rejected) facts.push(["mark", w.note[kind.rejected]]);
  return facts;
}
