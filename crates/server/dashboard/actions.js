// What a person may do to a credential, and what comes of it.

import { post } from "./calls.js";
import { failed, look } from "./live.js";
import { announce, changed, isTicket, left, state } from "./state.js";
import { span, w } from "./words.js";

/** Whether the bearer token allows refreshes and pauses. */
export const mayAct = () => state.worker?.caller.scope === "admin";

/** Whether something is under way for `id`. Its buttons do nothing meanwhile, and keep the focus. */
export const isBusy = (id) => state.busy.has(id);

export function dismiss() {
  state.question = null;
  changed();
}

export function select(id) {
  state.selected = id;
  // Its address may be kept and passed on: an id is no secret.
  history.replaceState(null, "", id === null ? location.pathname : `#${encodeURIComponent(id)}`);
  changed();
}

export const refresh = (id, kind) => act(id, "refresh", { kind });

export function force({ id, provider }, kind) {
  if (isBusy(id)) return;
  const { title, text, stable, ticket, yes } = w.askForce;
  const what = isTicket(kind) ? ticket : provider === "wechat-stable" ? stable : text;
  const named = isTicket(kind) ? `${id} ${kind}` : id;
  state.question = { title: title(named), text: what, yes, act: () => act(id, "refresh", { kind, force: true }) };
  changed();
}

export function pause(credential) {
  if (isBusy(credential.id)) return;
  const { title, text, dead, yes } = w.askPause;
  const longest = Math.max(...credential.kinds.map((kind) => left(credential, kind.expires_in)));
  const { id } = credential;
  const what = longest > 0 ? text(span(longest)) : dead;
  state.question = { title: title(id), text: what, yes, act: () => act(id, "pause") };
  changed();
}

export const resume = (id) => act(id, "resume");

async function act(id, what, body) {
  dismiss();
  if (isBusy(id)) return;
  state.busy.add(id);
  state.outcomes.delete(id);
  changed();
  let text;
  let good = true;
  try {
    const answer = await post(id, what, body);
    text = said(what, answer, body);
  } catch (failure) {
    good = false;
    text = failure.status === 0 ? w.problem.lost : (w.problem[failure.code] ?? w.problem.other(failure.status));
    if (failure.status === 401 || failure.status === 429) return failed(failure);
  } finally {
    state.busy.delete(id);
  }
  state.outcomes.set(id, { text, good });
  announce(id + w.colon + text);
  // The answer holds a token, which is no business of this page: the status is read instead.
  return look(id);
}

function said(what, { outcome, retry_after }, body) {
  if (what !== "refresh") return w.outcome[what];
  if (body.force && outcome === "still_valid") return w.outcome.unchanged;
  return outcome === "deferred" ? w.outcome.deferred(span(retry_after)) : w.outcome[outcome];
}

/** Copies `text`; where the browser does not allow that, selects it in `field`. */
export async function copy(id, text, field) {
  let good = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    field.focus();
    field.select();
    // The only way where the page is not reached over TLS or loopback.
    good = document.execCommand("copy");
  }
  const outcome = { text: good ? w.copied : w.copyFailed, good };
  state.outcomes.set(id, outcome);
  announce(outcome.text);
}
