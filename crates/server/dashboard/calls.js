// The worker's calls. The bearer token is in this tab's storage and in one header, and nowhere else.

import { language } from "./words.js";

const KEY = "zhongkong.bearer";
const PATIENCE_MS = 15_000;
/** A worker that hangs is to be missed soon. */
const BEAT_PATIENCE_MS = 8_000;
/** A refresh is waited for by the worker, too. */
const LONG_PATIENCE_MS = 60_000;

export const bearer = {
  get: () => sessionStorage.getItem(KEY),
  set: (token) => sessionStorage.setItem(KEY, token),
  forget: () => sessionStorage.removeItem(KEY),
};

/** A call that was answered with a problem (`status`, `code`, `detail`), or not at all (`status` 0). */
export class Failure extends Error {
  constructor(status, problem = {}) {
    super(problem.detail ?? "");
    this.status = status;
    this.code = problem.code ?? "";
    this.retryAfter = problem.retry_after;
    this.upstream = problem.upstream;
  }
}

/** The response to a call, if it is good. */
export async function ask(path, { method = "GET", body, signal, accept = "application/json" } = {}) {
  const headers = { Accept: accept, "Accept-Language": language() };
  const token = bearer.get();
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const request = { method, headers, signal, cache: "no-store", credentials: "omit", redirect: "error" };
  if (body) request.body = JSON.stringify(body);
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Failure(0);
  }
  if (response.ok) return response;
  throw new Failure(response.status, await response.json().catch(() => ({})));
}

/** What a call answers, as JSON. */
export async function call(path, options = {}) {
  const response = await ask(path, { signal: AbortSignal.timeout(options.patience ?? PATIENCE_MS), ...options });
  try {
    return await response.json();
  } catch {
    throw new Failure(0);
  }
}

const ofCredential = (id, more = "") => `/v1/credentials/${encodeURIComponent(id)}${more}`;

export const worker = () => call("/v1/worker", { patience: BEAT_PATIENCE_MS });
export const credential = (id) => call(ofCredential(id));
export const post = (id, what, body = {}) =>
  call(ofCredential(id, `/${what}`), { method: "POST", body, patience: LONG_PATIENCE_MS });

/** Lines of a credential's history before the entry named, or the newest; and the newest of all credentials. */
export const history = (id, before) => call(ofCredential(id, `/history${before ? `?before=${encodeURIComponent(before)}` : ""}`));
export const latest = () => call("/v1/history");

/** So many credentials after the one named, or the first. */
export function page(after, limit) {
  const from = after === null ? "" : `&after=${encodeURIComponent(after)}`;
  return call(`/v1/credentials?limit=${limit}${from}`);
}
