// What the page knows, and what that amounts to: pure functions over one object, and when to draw again.

export const EVENTS_MAX = 500;

export const state = {
  /** Why there is a sign-in instead of the page: `needed`, `wrong`, `tooMany`, `ended` or `forbidden`. */
  signIn: null,
  /** What GET /v1/worker said last, and the workers that lived when somebody last knew. */
  worker: null,
  living: [],
  /** When the worker was heard last; and since when it is not heard any more, in milliseconds since 1970. */
  heardAt: null,
  lostSince: null,
  /** Whether events come as they happen; if not, the page asks from time to time. */
  live: false,
  /** Reports by id, in the order of their ids; whether all of them have come. */
  credentials: new Map(),
  loaded: false,
  events: [],
  /** Lines of the history from before the first of these events; null until they were read. */
  past: null,
  /** The history of the selected credential: { id, entries, next }, newest first; or { id, failed }. */
  history: null,
  filter: "all",
  search: "",
  sort: "attention",
  selected: null,
  /** A question to be answered before something is done: { title, text, yes, act }. */
  question: null,
  /** Ids of credentials for which something is under way; what came of it, by id. */
  busy: new Set(),
  outcomes: new Map(),
  /** What a screen reader is told next. */
  announcement: "",
  /** Counts changes of credentials, for what is derived from them. */
  version: 0,
};

let draw = () => {};
let planned = false;

/** Draws with `how` from now on, once for however many changes before the next frame. */
export function drawWith(how) {
  draw = how;
}

export function changed() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    draw();
  });
}

export function keep(report, at = performance.now()) {
  state.credentials.set(report.id, { ...report, at });
  state.version += 1;
}

/** What a screen reader is to say; the same twice is said twice. */
export function announce(text) {
  state.announcement = state.announcement === text ? `${text}\u00a0` : text;
  changed();
}

/** Seconds that have passed since `credential` was told. */
export const age = (credential) => (performance.now() - credential.at) / 1000;

/** `seconds` of a credential's kind as they are now. */
export const left = (credential, seconds) => Math.max(0, seconds - age(credential));

/** Whether a kind of that name is got with the access token. */
export const isTicket = (name) => name !== "access_token";

const HUMAN = new Set(["ip_not_allowed", "awaiting_admin", "blocked", "misconfigured", "account_frozen"]);

/** Whether readers have a token now. */
export const isValid = (credential, kind) => kind.valid && left(credential, kind.expires_in) > 0;

/** Whether somebody has to do something. */
export const needsPerson = (kind) => HUMAN.has(kind.status) || kind.refusals.some((refusal) => HUMAN.has(refusal.status));

/** How a kind is doing, as one of the tones of a badge. */
export function tone(credential, kind) {
  if (!kind.known) return "waiting";
  if (HUMAN.has(kind.status)) return "bad";
  if (kind.status === "paused") return "paused";
  if (!isValid(credential, kind)) return kind.generation > 0 ? "bad" : "waiting";
  if (kind.status === "pending") return "waiting";
  return kind.status === "ok" ? "good" : "warning";
}

/** Whether a kind is worth a look: what sorts to the top. */
function urgency(credential, kind) {
  let urgency = { bad: 40, warning: 20, paused: 10, waiting: 10, good: 0 }[tone(credential, kind)];
  if (needsPerson(kind)) urgency += 8;
  if (kind.known && !isValid(credential, kind)) urgency += 4;
  if (kind.refusals.length > 0) urgency += 2;
  if (kind.doubt.length > 0) urgency += 1;
  return urgency;
}

const FILTERS = {
  all: () => true,
  person: (_, kind) => needsPerson(kind),
  invalid: (credential, kind) => kind.known && !isValid(credential, kind),
  doubt: (_, kind) => kind.doubt.length > 0,
};

const fits = (filter, credential, kind) => (FILTERS[filter] ?? ((_, { status }) => status === filter))(credential, kind);

/** How many credentials each filter finds; only those of a status that there is. */
export const counts = remembered(() => [state.version], () => {
  const counts = new Map([["all", 0], ["person", 0], ["invalid", 0], ["doubt", 0]]);
  for (const credential of state.credentials.values()) {
    const statuses = new Set(credential.kinds.map((kind) => kind.status));
    for (const name of [...Object.keys(FILTERS), ...statuses]) {
      if (credential.kinds.some((kind) => fits(name, credential, kind))) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  return counts;
});

const highest = (credential) => Math.max(...credential.kinds.map((kind) => urgency(credential, kind)));
const shortest = (credential) => Math.min(...credential.kinds.map((kind) => left(credential, kind.expires_in)));
const byId = (a, b) => (a.id < b.id ? -1 : 1);

function ranked(rank, list) {
  const pairs = list.map((credential) => [rank(credential), credential]);
  pairs.sort((a, b) => a[0] - b[0] || byId(a[1], b[1]));
  return pairs.map(([, credential]) => credential);
}

/** Where a search looks. */
function searched({ id, provider, kinds }) {
  const texts = kinds.map(({ worker, fingerprint }) => `${worker} ${fingerprint ?? ""}`);
  return [id, provider, ...texts].join(" ").toLowerCase();
}

/** The credentials to be shown, in their order. */
export const shown = remembered(() => [state.version, state.filter, state.search, state.sort], () => {
  const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = (credential) => {
    if (!credential.kinds.some((kind) => fits(state.filter, credential, kind))) return false;
    if (words.length === 0) return true;
    const text = searched(credential);
    return words.every((word) => text.includes(word));
  };
  const list = [...state.credentials.values()].filter(found);
  if (state.sort === "attention") return ranked((credential) => -highest(credential), list);
  if (state.sort === "life") return ranked(shortest, list);
  return list.sort(byId);
});

/** What was kept from before the page was opened, without what it has heard itself. */
export function earlier() {
  const name = ({ id, kind, time_ms }) => `${id} ${kind} ${time_ms}`;
  const heard = new Set(state.events.map(name));
  return (state.past ?? []).filter((line) => !heard.has(name(line)));
}

/** `derive`, called again only when what `from` lists has changed. */
function remembered(from, derive) {
  let before = null;
  let value;
  return () => {
    const now = from();
    if (before === null || now.some((part, index) => part !== before[index])) {
      before = now;
      value = derive();
    }
    return value;
  };
}
