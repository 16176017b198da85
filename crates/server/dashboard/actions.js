// What a person may do to a credential, and what comes of it.

import { look, signOut } from "./live.js";
import { bearer, post } from "./calls.js";
import { announce, changed, left, state } from "./state.js";
import { span, w } from "./words.js";

/** Whether the bearer token allows refreshes and pauses. */
export const mayAct = () => state.worker?.caller.scope === "admin";

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
  const { title, text, stable, yes } = w.askForce;
  const what = provider === "wechat-stable" ? stable : text;
  state.question = { title: title(id), text: what, yes, act: () => act(id, "refresh", { kind, force: true }) };
  changed();
}

export function pause(credential) {
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
  const busy = `${id} ${what}`;
  if (state.busy.has(busy)) return;
  state.busy.add(busy);
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
    if (failure.status === 401) signOut(bearer.get() ? "wrong" : "needed");
  }
  state.busy.delete(busy);
  state.outcomes.set(id, { text, good });
  announce(id + w.colon + text);
  // The answer holds a token, which is no business of this page: the status is read instead.
  await look(id);
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
