/**
 * The upstream half of a WebSocket, opened before the caller's half is: so an agent's refusal is still an HTTP answer,
 * and the subprotocol the agent chose is the one the caller gets.
 */
import type { ClientRequest, IncomingMessage } from 'node:http';
import WebSocket from 'ws';
import { type RefusalKind, Refused } from '../refusal.ts';
import { websocketRefusals as kinds } from './websocket-errors.ts';

export interface UpstreamSocket {
  /** Open and paused, so that nothing the agent says is lost before the relay listens. */
  readonly socket: WebSocket;
  /** The subprotocol the agent chose; empty when it chose none. */
  readonly subprotocol: string;
}

export interface UpstreamSocketOptions {
  /** `ws:`, `wss:`, `http:` or `https:`; everything behind the authority is sent as it stands, byte for byte. */
  readonly url: string;
  /** Flat name, value pairs; fields of the handshake itself are left out. */
  readonly headers: readonly string[];
  readonly subprotocols: readonly string[];
  /** From the attempt to connect to the end of the handshake. */
  readonly handshakeTimeoutMs: number;
  readonly maxPayloadBytes: number;
  /** Aborted when the caller goes away meanwhile. */
  readonly signal: AbortSignal;
}

/** How long a side may take to answer a close frame before its connection is cut. */
export const CLOSE_TIMEOUT_MS = 2_000;
/** Fragments of one message, and of chunks held back: a message of a megabyte in frames of 1 KiB, with room. */
export const FRAGMENTS_MAX = 4_096;
/** Bytes of the agent's answer head. */
const HEAD_BYTES_MAX = 32_768;

/** Fields that belong to this hop: each hop makes its own handshake. */
const HANDSHAKE_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'sec-websocket-accept',
  'sec-websocket-extensions',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-version',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Answers of an agent to a handshake that are the caller's business; all others are the agent's own fault. */
const PASSED_STATUSES: ReadonlySet<number> = new Set([400, 401, 403, 404, 405, 409, 410, 426, 429]);
/** Fields without which such an answer cannot be acted on. */
const PASSED_FIELDS = ['www-authenticate', 'retry-after', 'allow'] as const;

function toFieldMap(flat: readonly string[]): Record<string, string | string[]> {
  // Without a prototype: a field may be called `__proto__` or `constructor`.
  const fields = Object.create(null) as Record<string, string | string[]>;
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = (flat[i] as string).toLowerCase();
    const value = flat[i + 1] as string;
    if (HANDSHAKE_FIELDS.has(name)) continue;
    const present = fields[name];
    if (present === undefined) fields[name] = value;
    else if (typeof present === 'string') fields[name] = [present, value];
    else present.push(value);
  }
  return fields;
}

/** Path and query as they stand in a URL: `new URL` would rewrite them, and they were verified as they are. */
function rawTarget(url: string): string {
  const authority = url.indexOf('//') + 2;
  const slash = url.indexOf('/', authority);
  return slash < 0 ? '/' : url.slice(slash);
}

function refusalOf(res: IncomingMessage): Refused {
  const status = res.statusCode ?? 0;
  const explanation = `the agent answered the WebSocket handshake with ${status}`;
  const headers: string[] = [];
  for (const name of PASSED_FIELDS) {
    const value = res.headers[name];
    if (typeof value === 'string') headers.push(name, value);
  }
  if (PASSED_STATUSES.has(status)) {
    const kind: RefusalKind = { ...kinds.websocket_refused, status, retryable: status === 429 };
    return new Refused(kind, { explanation, headers });
  }
  if (status === 503) return new Refused(kinds.websocket_upstream_unavailable, { explanation, headers });
  if (status === 504) return new Refused(kinds.websocket_upstream_timeout, { explanation });
  return new Refused(kinds.websocket_upstream_protocol_error, { explanation });
}

/** ws reports what is wrong with a handshake by plain errors without a code; what the network did has one. */
function kindOfError(error: NodeJS.ErrnoException): RefusalKind {
  const { code } = error;
  if (code === undefined || code.startsWith('HPE_') || code.startsWith('WS_ERR_'))
    return kinds.websocket_upstream_protocol_error;
  return kinds.websocket_upstream_unreachable;
}

/** Whether a failed opening counts against the instance (breaker), and so may be tried at another one. */
export function isUpstreamFault(refused: Refused): boolean {
  const { kind, cause } = refused;
  // An agent that answers in plain HTTP is there; it has no WebSocket at this path, and the caller chose the path.
  if (kind.code === kinds.websocket_upstream_protocol_error.code && cause === undefined) return false;
  return kind.status >= 500 && kind.code !== kinds.websocket_cancelled.code;
}

function connect(options: UpstreamSocketOptions): WebSocket {
  const target = rawTarget(options.url);
  // The last two are missing from its types: one is newer, the other goes to http.request.
  const clientOptions: WebSocket.ClientOptions & { closeTimeout: number; maxHeaderSize: number } = {
    // Its type knows single values only; http.request, which it goes to, takes several.
    headers: toFieldMap(options.headers) as Record<string, string>,
    // A redirect would lead to an instance nobody configured.
    followRedirects: false,
    // Payloads pass as they are; to inflate and deflate them costs memory per connection and invites bombs.
    perMessageDeflate: false,
    maxPayload: options.maxPayloadBytes,
    maxFragments: FRAGMENTS_MAX,
    maxBufferedChunks: FRAGMENTS_MAX,
    maxHeaderSize: HEAD_BYTES_MAX,
    closeTimeout: CLOSE_TIMEOUT_MS,
    finishRequest: (request: ClientRequest) => {
      request.path = target;
      request.end();
    },
  };
  return new WebSocket(options.url, [...options.subprotocols], clientOptions);
}

/** What the promise below settles on; every way out passes through `settle`, once. */
function watch(
  socket: WebSocket,
  options: UpstreamSocketOptions,
  settle: (outcome: UpstreamSocket | Refused) => void,
): void {
  let subprotocol = '';
  socket.once('upgrade', (res: IncomingMessage) => {
    subprotocol = res.headers['sec-websocket-protocol'] ?? '';
    // An agent may choose none of the subprotocols (RFC 6455 4.2.2); ws would take that for a failure, so it is shown
    // what it asked for, and the caller is told the truth.
    if (subprotocol === '' && options.subprotocols[0] !== undefined)
      res.headers['sec-websocket-protocol'] = options.subprotocols[0];
  });
  socket.once('unexpected-response', (request: ClientRequest, res: IncomingMessage) => {
    const refused = refusalOf(res);
    res.on('error', () => res.destroy());
    request.destroy();
    settle(refused);
  });
  socket.once('open', () => {
    socket.pause();
    settle({ socket, subprotocol });
  });
  // Stays after the opening: an error nobody listens to would end the process.
  socket.on('error', (error: NodeJS.ErrnoException) =>
    settle(new Refused(kindOfError(error), { explanation: error.message, cause: error })),
  );
}

/**
 * Opens a WebSocket to an instance.
 * @throws {Refused} with a kind of `websocketRefusals`; `isUpstreamFault` tells whose fault it was.
 */
export function openUpstreamSocket(options: UpstreamSocketOptions): Promise<UpstreamSocket> {
  return new Promise((resolve, reject) => {
    const { signal } = options;
    const cancelled = (): Refused =>
      new Refused(kinds.websocket_cancelled, { explanation: 'the caller went away during the handshake' });
    if (signal.aborted) {
      reject(cancelled());
      return;
    }
    let settled = false;
    const socket = connect(options);
    const settle = (outcome: UpstreamSocket | Refused): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      if (outcome instanceof Refused) {
        socket.terminate();
        reject(outcome);
      } else resolve(outcome);
    };
    const abort = (): void => settle(cancelled());
    // ws's own timeout is one of inactivity, which an agent that drips its answer never reaches.
    const timer = setTimeout(
      () =>
        settle(
          new Refused(kinds.websocket_upstream_timeout, {
            explanation: `no handshake in ${options.handshakeTimeoutMs} ms`,
          }),
        ),
      options.handshakeTimeoutMs,
    );
    signal.addEventListener('abort', abort, { once: true });
    watch(socket, options, settle);
  });
}
