// All that the page says, in English; in which language it speaks; and how it says times.

import { chinese } from "./chinese.js";

const KEY = "zhongkong.language";

const counted = (count) => (count === 1 ? "1 credential" : `${count} credentials`);

const english = {
  locale: "en",
  tagline: "central token coordinator",
  language: "Language",
  theme: "Theme",
  themes: { system: "System", light: "Light", dark: "Dark" },
  skip: "Skip to the credentials",
  answeredBy: (worker, version) => `answered by ${worker}, version ${version}`,

  signIn: "Sign in",
  signOut: "Sign out",
  bearer: "Bearer token",
  bearerHint: "One of [[http.tokens]] in the configuration. It stays in this tab, and is gone when the tab is closed.",
  signInReasons: {
    needed: "This worker asks for a bearer token.",
    wrong: "The worker does not know this bearer token.",
    tooMany: "The worker does not know this bearer token, like too many before it from this address. Wait a minute.",
    forbidden: "The worker refuses this page. Without bearer tokens it must be opened at a loopback address, such as http://127.0.0.1:8620/.",
    ended: "You have signed out.",
  },
  scope: (name, scope) => `${name} (${scope})`,
  mayRead: "This bearer token may look, but not refresh or pause: that takes the scope admin.",

  live: "Live",
  notLive: "Not live",
  connecting: "Connecting",
  lost: "The worker does not answer.",
  lostSince: (time, ago) => `The worker does not answer since ${time} (${ago}). What you see is as it was then; the page tries again by itself.`,
  found: "The worker answers again.",
  redisUp: "Redis answers the worker again.",
  redisDown: "Redis does not answer the worker.",
  redisDownFor: (time, ago) => `Redis does not answer this worker, or refuses, since ${time} (${ago}). What you see is as it was seen last; nothing is refreshed without Redis, and readers keep their tokens. The worker's log and \`zhongkong check\` say why.`,
  redisNever: "Redis has not answered this worker yet. Nothing is known of the tokens; the worker's log and `zhongkong check` say why.",
  stopping: "This worker is about to end.",

  search: "Search",
  searchHint: "id, provider, worker, fingerprint",
  searchKey: "Press / to search",
  sort: "Order",
  sorts: { attention: "What needs a look first", life: "Shortest life first", id: "By id" },
  filter: "Show",
  filters: { all: "All", person: "A person is needed", invalid: "No valid token", doubt: "In doubt" },
  credentials: "Credentials",
  keysHint: "Arrow keys move between rows, Enter opens one.",
  countOf: (shown, all) => (shown === all ? counted(all) : `${shown} of ${counted(all)}`),
  loading: "Reading…",
  nothing: "No credential fits.",
  none: "No credential is configured on this worker.",
  columns: { id: "Credential", status: "Status", life: "Life left", next: "Next refresh", last: "Last refresh", generation: "Gen.", notes: "Notes" },

  status: {
    ok: "OK",
    pending: "No token yet",
    paused: "Paused",
    retrying: "Retrying",
    throttled: "Quota spent",
    ip_not_allowed: "IP not allowed",
    awaiting_admin: "Awaiting administrator",
    blocked: "Blocked by administrator",
    misconfigured: "Misconfigured",
    account_frozen: "Account frozen",
  },
  unknown: "Not read yet",
  invalid: "no valid token",
  expired: "expired",
  never: "never",
  in: (span) => `in ${span}`,
  ago: (span) => `${span} ago`,
  by: (worker) => `by ${worker}`,
  triedBy: (worker) => `tried by ${worker}`,
  comma: ", ",
  colon: ": ",
  semicolon: "; ",
  soon: "any moment",
  whilePaused: "not while paused",
  refreshing: "Refreshing now",
  note: {
    doubt: "In doubt",
    reported: "Reported",
    adopted: "Fetched by a service",
    forced: "Refresh asked for",
    invalidated: "Invalidation asked for",
    reports: (count) => (count === 1 ? "1 report today" : `${count} reports today`),
    refused: (who, status) => `${who}: ${status}`,
  },

  close: "Close",
  facts: "Facts",
  fact: {
    provider: "Provider", generation: "Generation", fingerprint: "Fingerprint", fence: "Fence", worker: "Last refresher", issued: "Last refresh",
    next: "Next refresh", expires: "Expires", reports: "Refreshes by reports today", mark: "Mark", layout: "Found at the key of", key: "Readers' key",
  },
  life: "Life left",
  todo: "What to do",
  advice: {
    ok: "Nothing.",
    pending: "Nothing yet: the first refresh is under way or about to begin. If it lasts, look at the worker's log.",
    paused: "Resume it when the migration is over: readers have no token once this one's life has ended.",
    retrying: "Nothing yet: the workers try again by themselves. If it lasts, look after the failure below.",
    throttled: "Look for another program that fetches tokens with this AppSecret.",
    unknown: "Redis has not told the state yet; see whether it answers.",
    elsewhere: "Nothing at once: another worker carries on. What one worker met stands below.",
  },
  lostToken: "Readers have no valid token now.",
  doubts: "Doubts",
  doubtsHint: "The token may not be the newest. It is settled by one more refresh, without you.",
  doubt: {
    clock: "the clock of Redis went back",
    cold_start: "there was no state before: a first start, or a Redis that was emptied",
    epoch: "Redis has another history than the state, as after a failover",
    foreign: "somebody outside of the cluster refreshed: look for another program with the same AppSecret",
    late: "a token arrived after another claim had been made",
    lost_claim: "a worker's last claim is missing after a change of Redis",
    rewound: "the state is older than what a worker remembers",
    takeover: "a worker ended in the middle of a refresh",
    unknown: "the outcome of a request to the upstream is not known",
  },
  refusals: "Refusals by the upstream",
  failure: "Last failure",
  upstreamSaid: "The upstream said",
  code: (code) => ` (code ${code})`,
  nextTry: (span) => `next try in ${span}`,
  mayTry: "may try again now",
  concerns: {
    worker: (worker) => `Concerns ${worker ?? "one worker"} alone`,
    configuration: (worker) => (worker ? `Concerns ${worker} and every worker with the same secret` : "Concerns every worker with the same secret"),
    access_token: () => "Concerns every worker, until there is another access token",
    account: () => "Concerns every worker: it is about the account",
    transient: () => "Concerns every worker, briefly",
  },
  everybody: "all workers",
  gone: "This credential is not configured on this worker any more.",

  actions: "Actions",
  refresh: "Refresh if owed",
  force: "Refresh now…",
  pause: "Pause…",
  resume: "Resume",
  copy: "Copy",
  copyKey: (key) => `Copy the key ${key}`,
  copied: "Copied.",
  copyFailed: "The browser does not let this page copy; the key is selected instead.",
  cancel: "Cancel",
  askForce: {
    title: (id) => `Refresh ${id} now?`,
    text: "The upstream is asked for a new token although none is owed, which spends one call of the day's quota. Readers notice nothing: the old token works on for the overlap.",
    stable: "The upstream is asked although no refresh is owed, which spends one call of the day's quota. As a rule wechat-stable answers with the token that there is; another one at once, and the old one dead, is what `zhongkong refresh --invalidate` does.",
    ticket: "The upstream is asked for the ticket although no refresh is owed, which spends one call of a small quota. As a rule it answers with the ticket that there is: it replaces it by itself, and nothing makes it do so before.",
    yes: "Refresh now",
  },
  askPause: {
    title: (id) => `Pause ${id}?`,
    text: (left) => `Nobody refreshes it until it is resumed. Readers keep the token for ${left}, and have none after that.`,
    dead: "Nobody refreshes it until it is resumed. Readers have no token now, and get none until then.",
    yes: "Pause",
  },
  underWay: "Under way…",
  outcome: {
    refreshed: "There is a new token.",
    still_valid: "None was fetched: the token is valid, and no refresh is owed.",
    unchanged: "The upstream was asked, and has no newer token; the one that readers have is valid.",
    already_newer: "There is a newer token already.",
    deferred: (span) => `It is owed, and runs in ${span}.`,
    paused: "Nothing was done: it is paused.",
    pause: "Paused.",
    resume: "Resumed.",
  },
  problem: {
    lost: "The worker did not answer.",
    forbidden: "This bearer token's scope does not allow that.",
    store_unavailable: "Redis cannot be asked now.",
    no_valid_token: "There is no valid token, and the refresh brought none.",
    refused_by_upstream: "The upstream refused; see below.",
    unknown_credential: "This worker does not know the credential.",
    other: (status) => `That did not work (HTTP ${status}).`,
  },

  workers: "Workers",
  thisOne: "answers this page",
  noWorkers: "Unknown while Redis does not tell.",
  events: "Events",
  noEvents: "None since this page was opened.",
  eventsHint: (max) => `Since this page was opened; the last ${max}.`,
  event: {
    claimed: "refresh begins",
    refreshed: "new token",
    adopted: "a service fetched a token for itself; all use it until another comes",
    refused: "the upstream refused",
    doubted: "the token may not be the newest",
    reported: "the token was reported as rejected",
    forced: "a refresh was asked for",
    kept: "the key was published again",
    paused: "no refresh from now on",
    resumed: "refreshes go on",
    forgotten: "removed from Redis",
    lost: "readers have no token any more",
  },
  past: "Before this page was opened",
  history: "History",
  historyFailed: "The history cannot be read now. What happened since this page was opened:",
  noHistory: "Nothing is recorded yet.",
  older: "Show older",
  olderRead: (count) => (count === 1 ? "1 older line" : `${count} older lines`),
  line: {
    refreshed: "new token",
    adopted: "a service fetched a token for itself; all use it until another comes",
    unchanged: "the upstream has no newer token",
    refused: "the upstream refused",
    unknown: "no clear answer from the upstream",
    not_sent: "nothing was sent",
    fenced: "a token came too late, and is not published",
    unfinished: "no outcome: the worker died or was held up, and another took over",
    doubted: "the token may not be the newest",
    reported: "the token was reported as rejected",
    forced: "a refresh was asked for",
    invalidated: "the token's death was asked for",
    paused: "no refresh from now on",
    resumed: "refreshes go on",
    kept: "the key was deleted or overwritten, and published again",
    lost: "readers have no token any more",
  },
  why: {
    due: "it was due",
    missing: "there was no token",
    reported: "it was reported",
    forced: "somebody asked for it",
    doubt: "to settle a doubt",
    epoch: "Redis changed",
    takeover: "to take over",
    dead: "the upstream rejects it",
    found: "found by the probe",
    word: "readers insist",
    hearsay: "readers insist",
    alive: "readers insist",
    cannot_tell: "a reader's word",
  },
  foundAt: (layout) => `found at the key of ${layout}`,
  validFor: (span) => `valid for ${span}`,
  took: (ms) => `took ${ms}`,
  servedFrom: (time) => `served from ${time}`,
  triedFrom: (time) => `next try from ${time}`,
  timesSince: (count, time) => `${count} times since ${time}`,
  now: "now",
  tally: {
    good: (count) => `${count} answered`,
    bad: (count) => `${count} failed`,
    warning: (count) => `${count} asked for`,
  },
  timeline: (time, good, bad, warning) => `Since ${time}: ${good} refreshes answered, ${bad} failures, ${warning} reports and wishes.`,
  generation: (number) => `generation ${number}`,
  units: [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]],
};

/** The words of the language that is spoken now. */
export let w = english;

export const LANGUAGES = { en: "English", zh: "中文" };
const WORDS = { en: english, zh: chinese };

export const language = () => (w === chinese ? "zh" : "en");

/** Speaks `wanted`, and remembers that; without it, what was chosen before, or the browser's language. */
export function speak(wanted) {
  if (wanted) localStorage.setItem(KEY, wanted);
  const preferred = navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in WORDS);
  w = WORDS[localStorage.getItem(KEY)] ?? WORDS[preferred] ?? english;
  document.documentElement.lang = w.locale;
}

/** Seconds, as people say them: the two largest units. */
export function span(seconds) {
  let rest = Math.floor(seconds);
  const parts = [];
  for (const [size, unit] of w.units) {
    const count = Math.floor(rest / size);
    if (count > 0 || (size === 1 && parts.length === 0)) parts.push(`${count}\u202f${unit}`);
    else if (parts.length > 0) break;
    rest -= count * size;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

const format = (options) => (ms) => new Intl.DateTimeFormat(w.locale, options).format(ms);
const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
/** The time of day of an instant in milliseconds since 1970; and the day with it. */
export const time = format(clock);
export const instant = format({ ...clock, year: "numeric", month: "short", day: "numeric" });

/** How long ago `seconds` since 1970 was. */
export const ago = (seconds) => w.ago(span(Math.max(0, Date.now() / 1000 - seconds)));

const dayAndTime = format({ ...clock, month: "short", day: "numeric" });
/** The time of day; and the day with it, unless it is today. */
export const when = (ms) => (new Date(ms).toDateString() === new Date().toDateString() ? time : dayAndTime)(ms);

/** A number, as people write it. */
export const count = (number) => new Intl.NumberFormat(w.locale).format(number);
