// Keeps what the page knows current: a beat, the stream of events, and the credentials that events name.

import { Failure, ask, bearer, credential, history, latest, page, worker } from "./calls.js";
import { EVENTS_MAX, announce, changed, keep, state } from "./state.js";
import { w } from "./words.js";

const BEAT_MS = 5_000;
/** The worker says something every 15 s on a stream that is alive. */
const SILENCE_MS = 40_000;
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 10_000;
/** Everything is read again this often, and sooner where events may have been missed. */
const RELOAD_MS = 60_000;
const PAGE = 1_000;
/** A tab that nobody looks at gives its stream back after this long: browsers have six connections to a host, for all tabs. */
const HIDDEN_MS = 60_000;
/** With more credentials than this to be read at once, all are. */
const SINGLY_MAX = 40;
const SETTLE_MS = 150;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let run = 0;
/** Ends the stream of events. */
let stream = null;

/** Begins, or begins anew with another bearer token. */
export function start() {
  run += 1;
  state.signIn = null;
  const mine = run;
  const current = () => mine === run;
  beat(current);
  listen(current);
  reloadNowAndThen(current);
}

/** Ends, and shows the sign-in. */
export function signOut(why) {
  run += 1;
  stream?.abort();
  bearer.forget();
  Object.assign(state, { signIn: why, worker: null, living: [], lostSince: null, live: false, loaded: false });
  Object.assign(state, { events: [], past: null, history: null, selected: null, question: null });
  state.credentials.clear();
  state.outcomes.clear();
  state.version += 1;
  changed();
}

/** What a failed call means for the page; whoever called tells the rest. */
export function failed(failure) {
  if (failure.status === 401) signOut(bearer.get() ? "wrong" : "needed");
  else if (failure.status === 429) signOut("tooMany");
  else if (failure.status === 403 && state.worker === null) signOut("forbidden");
  else if (failure.status === 0) lost();
}

function lost() {
  state.live = false;
  if (state.lostSince !== null) return;
  state.lostSince = state.heardAt ?? Date.now();
  announce(w.lost);
}

async function beat(current) {
  while (current()) {
    try {
      const before = state.worker;
      const report = await worker();
      if (!current()) return;
      state.worker = report;
      state.living = report.living ?? state.living;
      state.heardAt = Date.now();
      if (state.lostSince !== null) {
        state.lostSince = null;
        announce(w.found);
      }
      if (before !== null && before.store_up !== report.store_up) {
        announce(report.store_up ? w.redisUp : w.redisDown);
        load(current);
      }
    } catch (failure) {
      if (!current()) return;
      tell(failure);
    }
    changed();
    await sleep(BEAT_MS);
  }
}

/** A defect of this page is not to pass for a worker that is lost. */
function tell(failure) {
  if (!(failure instanceof Failure)) throw failure;
  failed(failure);
}

async function reloadNowAndThen(current) {
  await sleep(RELOAD_MS);
  while (current()) {
    load(current);
    await sleep(RELOAD_MS);
  }
}

let loading = null;
let again = false;

/** Reads all credentials; a wish for that meanwhile is served once, afterwards. */
export function load(current = () => true) {
  if (loading !== null) {
    again = true;
    return loading;
  }
  loading = loadAll(current).finally(() => {
    loading = null;
    if (again) {
      again = false;
      if (current()) load(current);
    }
  });
  return loading;
}

async function loadAll(current) {
  const found = new Set();
  let after = null;
  try {
    for (;;) {
      const asked = performance.now();
      const reports = await page(after, PAGE);
      if (!current()) return;
      for (const report of reports) {
        found.add(report.id);
        notice(report, asked);
      }
      changed();
      if (reports.length < PAGE) break;
      after = reports.at(-1).id;
    }
    for (const id of state.credentials.keys()) {
      if (!found.has(id)) state.credentials.delete(id);
    }
    state.loaded = true;
    state.version += 1;
    changed();
    if (state.selected !== null) readHistory(state.selected, current);
  } catch (failure) {
    if (current()) tell(failure);
    changed();
  }
}

/** Keeps what was told of a credential, and says what is news to somebody who does not see it. */
function notice(report, asked) {
  const before = state.credentials.get(report.id);
  // What was told later may have come sooner.
  if (before !== undefined && before.at > asked) return;
  keep(report, asked);
  if (before === undefined) return;
  for (const kind of report.kinds) {
    const then = before.kinds.find((other) => other.kind === kind.kind);
    if (then === undefined || !then.known || then.status === kind.status) continue;
    announce(report.id + w.colon + (w.status[kind.status] ?? kind.status));
  }
}

const named = new Set();
let settling = false;

/** Reads again what events named: singly if that is little, else all of it. */
async function settle(current) {
  if (settling) return;
  settling = true;
  while (named.size > 0 && current()) {
    await sleep(SETTLE_MS);
    const ids = [...named];
    named.clear();
    if (ids.length > SINGLY_MAX) await load(current);
    else await Promise.all(ids.map((id) => look(id, current)));
  }
  settling = false;
}

/** Reads one credential. */
export async function look(id, current = () => true) {
  const asked = performance.now();
  try {
    const report = await credential(id);
    if (current()) notice(report, asked);
    if (id === state.selected) readHistory(id, current);
  } catch (failure) {
    if (!current()) return;
    if (failure.status === 404) {
      state.credentials.delete(id);
      state.version += 1;
    } else tell(failure);
  }
  changed();
}

/** Whether the line named `a` is before the one named `b`. */
function isBefore(a, b) {
  const [[aMs, aNumber], [bMs, bNumber]] = [a, b].map((entry) => entry.split("-").map(Number));
  return aMs < bMs || (aMs === bMs && aNumber < bNumber);
}

/** Reads the newest lines of the history of `id`; older ones that are shown stay, unless lines between are missing. */
export async function readHistory(id, current = () => true) {
  let read;
  try {
    read = await history(id);
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    // The rest of the page tells of a worker or a Redis that is away, and what is shown is still true.
    if (!current() || state.selected !== id || state.history?.id === id) return;
    state.history = { id, failed: true };
    return changed();
  }
  if (!current() || state.selected !== id) return;
  const known = state.history?.id === id ? (state.history.entries ?? []) : [];
  const oldest = read.entries.at(-1)?.entry;
  const older = oldest === undefined ? [] : known.filter(({ entry }) => isBefore(entry, oldest));
  const adjoins = older.length > 0 && older.length < known.length;
  state.history = adjoins
    ? { id, entries: [...read.entries, ...older], next: state.history.next }
    : { id, entries: read.entries, next: read.next };
  changed();
}

/** Reads the lines before those that are shown. */
export async function readOlder() {
  const { id, next } = state.history;
  try {
    const read = await history(id, next);
    if (state.history?.id !== id || state.history.next !== next) return;
    state.history = { id, entries: [...state.history.entries, ...read.entries], next: read.next };
    announce(w.olderRead(read.entries.length));
  } catch (failure) {
    tell(failure);
  }
}

/** Reads what was kept from before this page was opened, once. */
async function readPast(current) {
  if (state.past !== null) return;
  state.past = [];
  try {
    const { entries } = await latest();
    if (current()) state.past = entries;
  } catch (failure) {
    // A worker that does not tell is no worse than one before whom nothing happened.
    if (!(failure instanceof Failure)) throw failure;
    if (current()) state.past = null;
  }
  changed();
}

let hiding = null;
function hide() {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(() => stream?.abort(), HIDDEN_MS);
}

document.addEventListener("visibilitychange", hide);
hide();

const inSight = () =>
  new Promise((resolve) => {
    if (!document.hidden) resolve();
    else document.addEventListener("visibilitychange", () => resolve(inSight()), { once: true });
  });

async function listen(current) {
  let wait = RETRY_MIN_MS;
  while (current()) {
    const abort = new AbortController();
    stream = abort;
    let silence = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const response = await ask("/v1/events", { accept: "text/event-stream", signal: abort.signal });
      wait = RETRY_MIN_MS;
      // Only now is nothing missed between what is read and what is told.
      load(current);
      readPast(current);
      state.live = true;
      changed();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done || !current()) break;
        clearTimeout(silence);
        silence = setTimeout(() => abort.abort(), SILENCE_MS);
        const frames = (text + value).split("\n\n");
        text = frames.pop();
        for (const frame of frames) hear(frame, current);
      }
    } catch (failure) {
      // A stream that breaks is no Failure; the beat finds out whether the worker is there.
      if (current() && failure instanceof Failure) {
        if (failure.status === 503) load(current);
        failed(failure);
      }
    }
    clearTimeout(silence);
    if (!current()) return;
    state.live = false;
    changed();
    await inSight();
    await sleep(wait / 2 + (Math.random() * wait) / 2);
    wait = Math.min(wait * 2, RETRY_MAX_MS);
  }
}

function hear(frame, current) {
  const data = frame.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("\n");
  if (data === "") return;
  const event = JSON.parse(data);
  if (event.type === "missed") {
    load(current);
    return;
  }
  state.events.unshift({ ...event, number: (state.events[0]?.number ?? 0) + 1 });
  state.events.length = Math.min(state.events.length, EVENTS_MAX);
  changed();
  // An event may be about a credential that this worker does not keep.
  if (state.credentials.has(event.id)) {
    named.add(event.id);
    settle(current);
  }
}
