/** Calls the operators' API of a gateway, with a key or by a signature, and turns its refusals into this program's. */
import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { CliError, type CliErrorCode } from './errors.ts';
import { readSecret, readText } from './files.ts';
import type { Frame } from './frame.ts';
import { signerFor } from './signer.ts';

const DEFAULT_URL = 'http://127.0.0.1:8080';
/** Above what the gateway allows its own database. */
const TIMEOUT_MS = 30_000;
/** A page of 500 agents with long lists. */
const ANSWER_BYTES_MAX = 32 * 1024 * 1024;
const LOOPBACK = /^(?:127\.0\.0\.1|localhost|\[::1\])$/;

/** Options of every command that asks a gateway. */
export interface OperatorOptions {
  readonly url?: string;
  readonly keyFile?: string;
  readonly signWith?: string;
  readonly caFile?: string;
}

/** Adds them. */
export function asksGateway(made: Command): Command {
  return made
    .option('--url <origin>', `where the gateway is (or SAGE_URL; left out: ${DEFAULT_URL})`)
    .option('--key-file <file>', 'a file that holds your API key (or SAGE_API_KEY)')
    .option(
      '--sign-with <file>',
      'sign with this private key instead: its DID stands in operators of sage.yaml',
    )
    .option(
      '--ca-file <file>',
      "PEM of the authority that signed the gateway's certificate (or SAGE_CA_FILE)",
    );
}

export interface Call {
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  readonly ifMatch?: string;
}

export interface Reply {
  readonly status: number;
  readonly etag: string | null;
  readonly body: unknown;
}

export type OperatorClient = (method: string, path: string, call?: Call) => Promise<Reply>;

interface Profile {
  readonly url: string | null;
  readonly apiKey: string | null;
}

/** `~/.config/sage/profile.json`: `{ "url": …, "api_key": … }`, to be read by its owner alone. */
function readProfile(frame: Frame): Profile {
  const none = { url: null, apiKey: null };
  if (frame.env.configHome === null) return none;
  const path = join(frame.env.configHome, 'sage', 'profile.json');
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return none;
  const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);
  try {
    const read = JSON.parse(readSecret(path)) as Readonly<Record<string, unknown>>;
    return { url: text(read.url), apiKey: text(read.api_key) };
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError('file_unreadable', `${path} is not JSON`, { cause: error });
  }
}

function originOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isBare =
    url?.pathname === '/' &&
    url.search === '' &&
    url.hash === '' &&
    url.username === '' &&
    url.password === '';
  if (url !== null && isBare && /^https?:$/.test(url.protocol)) return url;
  // It may hold a password, so it is not repeated.
  throw new CliError('usage', '--url must be an origin such as https://gateway.example');
}

type Authorise = (request: {
  method: string;
  url: string;
  headers: [string, string][];
  body: string | undefined;
}) => Promise<[string, string][]>;

async function authorisation(
  frame: Frame,
  options: OperatorOptions,
  profile: Profile,
  origin: URL,
): Promise<Authorise> {
  if (options.signWith !== undefined) {
    const signer = await signerFor(frame, { keyFile: options.signWith });
    const { signRequest } = await import('../sdk/sign.ts');
    return async (request) => (await signRequest(request, signer)).headers;
  }
  // The profile's key belongs to the profile's gateway, and is shown to no other.
  const own = originOf(profile.url ?? DEFAULT_URL).origin === origin.origin ? profile.apiKey : null;
  const key = options.keyFile === undefined ? (frame.env.apiKey ?? own) : readSecret(options.keyFile);
  // In development on loopback a gateway asks for none.
  if (key === null && !LOOPBACK.test(origin.hostname)) throw new CliError('credential_missing');
  if (key !== null && origin.protocol === 'http:' && !LOOPBACK.test(origin.hostname))
    throw new CliError('url_insecure');
  return async ({ headers }) => (key === null ? headers : [...headers, ['authorization', `Bearer ${key}`]]);
}

/**
 * @throws {CliError} credential_missing, url_insecure, file_*, key_*; each call: gateway_unreachable, unauthorised,
 * not_found, refused, answer_unreadable
 */
export async function operatorClient(frame: Frame, options: OperatorOptions): Promise<OperatorClient> {
  const { Agent, request } = await import('undici');
  const profile = readProfile(frame);
  const origin = originOf(options.url ?? frame.env.url ?? profile.url ?? DEFAULT_URL);
  const authorise = await authorisation(frame, options, profile, origin);
  const caFile = options.caFile ?? frame.env.caFile;
  const dispatcher = new Agent({
    connect: { timeout: TIMEOUT_MS, ...(caFile === null ? {} : { ca: readText(caFile) }) },
    maxResponseSize: ANSWER_BYTES_MAX,
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    keepAliveTimeout: 1,
  });
  /** The whole answer: one that is cut off is none. */
  const asked = async (url: URL, init: Parameters<typeof request>[1]) => {
    const answer = await request(url, init);
    return { answer, text: await answer.body.text() };
  };
  return async (method, path, { query = {}, body, ifMatch } = {}) => {
    const url = new URL(path, origin);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const headers: [string, string][] = [['accept', 'application/json']];
    if (sent !== undefined) headers.push(['content-type', 'application/json']);
    if (ifMatch !== undefined) headers.push(['if-match', ifMatch]);
    if (method === 'POST') headers.push(['idempotency-key', randomUUID()]);
    const authorised = await authorise({ method, url: url.href, headers, body: sent });
    const work = asked(url, { method, headers: authorised.flat(), body: sent ?? null, dispatcher }).catch(
      (error: unknown) => {
        throw unreachable(origin, error);
      },
    );
    const { answer, text } = await frame.waiting(`asking ${origin.host}`, work);
    return replyOf(path, answer.statusCode, answer.headers.etag, text);
  };
}

function unreachable(origin: URL, error: unknown): CliError {
  const cause = error instanceof Error ? error : new Error(String(error));
  const code = 'code' in cause ? String(cause.code) : cause.message;
  return new CliError('gateway_unreachable', `${origin.origin} (${code})`, { cause });
}

function replyOf(path: string, status: number, etag: string | string[] | undefined, text: string): Reply {
  let body: unknown = null;
  if (text !== '') {
    try {
      body = JSON.parse(text);
    } catch (error) {
      throw new CliError('answer_unreadable', `${path} answered ${status} without JSON`, { cause: error });
    }
  }
  if (status < 400) return { status, etag: typeof etag === 'string' ? etag : null, body };
  throw refusalOf(status, memberOf(body, 'code') === undefined ? null : body);
}

/** A member of a JSON object, or undefined. */
export function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

/** The same as text: `none` for what is not there, or no single value. */
export function textOf(value: unknown, name: string, none = '-'): string {
  const member = memberOf(value, name);
  return typeof member === 'string' || typeof member === 'number' || typeof member === 'boolean'
    ? String(member)
    : none;
}

/** A column of a table that shows that member. */
export const member =
  (name: string) =>
  (value: unknown): string =>
    textOf(value, name);

function refusalOf(status: number, problem: unknown): CliError {
  if (problem === null)
    return new CliError('answer_unreadable', `it answered ${status} without a problem document`);
  const text = (name: string): string => textOf(problem, name, '');
  const kind: CliErrorCode =
    status === 401 || status === 403 ? 'unauthorised' : status === 404 ? 'not_found' : 'refused';
  const errors = memberOf(problem, 'errors');
  const faults = Array.isArray(errors) ? errors.map(faultText) : [];
  const requestId = memberOf(problem, 'request_id');
  return new CliError(kind, `${text('detail') || text('title')} [${text('code')}]`, {
    faults,
    gateway: { status, code: text('code'), requestId: typeof requestId === 'string' ? requestId : null },
  });
}

function faultText(fault: unknown): string {
  const place = ['path', 'line', 'column']
    .map((name) => textOf(fault, name, ''))
    .filter((part) => part !== '');
  return [place.join(':'), textOf(fault, 'message', '')].filter((part) => part !== '').join(': ');
}

/**
 * All items of a list, page by page, up to `limit`.
 * @throws {CliError} as a call does
 */
export async function listed(
  client: OperatorClient,
  path: string,
  limit: number,
  query: Call['query'] = {},
): Promise<{ readonly items: readonly unknown[]; readonly more: boolean }> {
  const items: unknown[] = [];
  let cursor: string | undefined;
  do {
    const { body } = await client('GET', path, {
      query: { ...query, limit: Math.min(limit - items.length, 500), cursor },
    });
    const page = memberOf(body, 'items');
    if (!Array.isArray(page)) throw new CliError('answer_unreadable', `${path} has no items`);
    items.push(...page);
    const next = memberOf(body, 'next');
    // A page without items would be asked for again and again.
    cursor = typeof next === 'string' && page.length > 0 ? next : undefined;
  } while (cursor !== undefined && items.length < limit);
  return { items, more: cursor !== undefined };
}
