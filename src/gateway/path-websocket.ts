/**
 * WebSockets on the path: the same checks as any request, then the agent's side is opened, and only when the agent has
 * agreed is the caller's handshake completed. The relay stands among the open exchanges as long as it lives.
 */

import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import { authorise, type PathTools } from './authorise.ts';
import type { Caller } from './identity/caller.ts';
import { type Answer, asRefusal, exchangeOf, openPassage, type PathOptions } from './open-passage.ts';
import type { Passage } from './passage.ts';
import type { CloseReason, OpenExchange } from './proxy/open-exchanges.ts';
import { upstreamRequestHeaders } from './proxy/request-headers.ts';
import { type Relay, relay } from './proxy/websocket.ts';
import { holdUpstream, readHandshake, takeUpstream } from './proxy/websocket-server.ts';
import { isUpstreamFault, openUpstreamSocket, type UpstreamSocket } from './proxy/websocket-upstream.ts';
import { Refused } from './refusal.ts';
import type { Instance, RoutedAgent } from './routing/instance.ts';

/** Bytes that may wait for a slow side before the fast one is no longer read. */
const BUFFERED_BYTES_MAX = 1_048_576;
/** NATs and balancers forget a silent connection after 60 s at the earliest. */
const PING_INTERVAL_MS = 25_000;
/** A conversation may pause for as long as it likes; a dead side is found by pings. */
const IDLE_TIMEOUT_MS = 0;

/** RFC 6455, section 7.4.1: 1008 is a policy that was broken, 1001 an endpoint that goes away. */
const CLOSE_CODES: Readonly<Record<CloseReason, readonly [code: number, reason: string]>> = {
  revoked: [1008, 'key revoked'],
  expired: [1008, 'key expired'],
};

interface WebSocketPath {
  readonly app: FastifyInstance;
  readonly options: PathOptions;
  readonly tools: PathTools;
  readonly answer: Answer;
}

/** An open conversation; its deadlines are the relay's own. */
class Conversation implements OpenExchange {
  readonly caller: Caller | null;
  readonly #relay: Relay;

  constructor(caller: Caller | null, joined: Relay) {
    this.caller = caller;
    this.#relay = joined;
  }

  close(reason: CloseReason): void {
    this.#relay.close(...CLOSE_CODES[reason]);
  }

  tick(): void {
    return;
  }
}

/** A passage whose agent has agreed, until the caller's handshake is completed. */
interface Ready {
  readonly passage: Passage;
  /** Called when the caller's connection closes first. */
  readonly left: () => void;
}

const ready = new WeakMap<object, Ready>();

/** Ends the record of a caller who went away before there was a conversation. */
function leave(passage: Passage, tools: PathTools): void {
  tools.exchanges.delete(passage);
  if (passage.over) return;
  passage.record.aborted = true;
  passage.finish();
}

/** One try at one instance; its circuit learns how it went. */
async function tryInstance(
  passage: Passage,
  path: WebSocketPath,
  instance: Instance,
  subprotocols: readonly string[],
  signal: AbortSignal,
): Promise<UpstreamSocket> {
  const { record, agent } = passage;
  const { definition } = agent as RoutedAgent;
  const permit = instance.circuit.enter();
  if (permit === 'refused') throw instance.circuit.refusal();
  record.attempts++;
  record.instance = instance.origin;
  const exchange = exchangeOf(passage, path.app, path.options);
  try {
    const upstream = await openUpstreamSocket({
      url: instance.origin.replace(/\/$/, '') + passage.upstreamTarget,
      headers: upstreamRequestHeaders(exchange, false, false),
      subprotocols,
      handshakeTimeoutMs: definition.timeouts.connectMs + definition.timeouts.headersMs,
      maxPayloadBytes: definition.websocketMaxMessageBytes,
      signal,
    });
    instance.circuit.succeed(permit);
    return upstream;
  } catch (error) {
    if (error instanceof Refused && isUpstreamFault(error)) instance.circuit.fail(permit, error);
    else if (error instanceof Refused && error.kind.status !== 499) instance.circuit.succeed(permit);
    else instance.circuit.release(permit);
    throw error;
  }
}

/** A handshake has told the agent nothing until it answers, so another instance may be tried after a failure. */
async function openUpstream(
  passage: Passage,
  path: WebSocketPath,
  subprotocols: readonly string[],
  signal: AbortSignal,
): Promise<UpstreamSocket> {
  const agent = passage.agent as RoutedAgent;
  const tried: Instance[] = [];
  let failure: unknown = agent.instances[0]?.circuit.refusal();
  for (;;) {
    const instance = path.app.pickInstance(agent, tried);
    if (instance === null || tried.length > agent.definition.retries) throw failure;
    tried.push(instance);
    try {
      return await tryInstance(passage, path, instance, subprotocols, signal);
    } catch (error) {
      if (!(error instanceof Refused) || !isUpstreamFault(error)) throw error;
      failure = error;
    }
  }
}

/**
 * Everything before the caller's handshake is completed; false when it was refused. When true, the passage still
 * stands among the open exchanges, so that no revocation falls between it and the conversation.
 */
async function prepare(passage: Passage, path: WebSocketPath): Promise<boolean> {
  const { tools, app } = path;
  const req = passage.req as IncomingMessage;
  const gone = new AbortController();
  const onClose = (): void => gone.abort();
  req.socket.once('close', onClose);
  try {
    const subprotocols = readHandshake(req);
    await authorise(passage, tools);
    // Revoked while it was checked: the agent need not hear of it.
    const upstream = passage.over ? null : await openUpstream(passage, path, subprotocols, gone.signal);
    if (upstream !== null && !passage.over && !req.socket.destroyed) {
      holdUpstream(req, upstream);
      const left = (): void => leave(passage, tools);
      ready.set(req, { passage, left });
      req.socket.once('close', left);
      return true;
    }
    upstream?.socket.terminate();
    leave(passage, tools);
  } catch (error) {
    if (gone.signal.aborted) leave(passage, tools);
    else passage.refuse(asRefusal(error, app, passage.record.requestId));
    tools.exchanges.delete(passage);
  } finally {
    req.socket.off('close', onClose);
  }
  return false;
}

/** Joins the caller's socket, open now, with the agent's. */
function converse(client: WebSocket, request: FastifyRequest, path: WebSocketPath): void {
  const { exchanges } = path.tools;
  const held = ready.get(request.raw);
  const upstream = takeUpstream(request.raw);
  if (held === undefined || upstream === null || held.passage.over) {
    upstream?.socket.terminate();
    client.terminate();
    return;
  }
  const { passage, left } = held;
  request.raw.socket.off('close', left);
  const { record } = passage;
  record.status = 101;
  record.respondedAt = performance.now();
  let conversation: Conversation | null = null;
  let over = false;
  const joined = relay({
    client,
    upstream: upstream.socket,
    maxBufferedBytes: BUFFERED_BYTES_MAX,
    maxMessageBytes: (passage.agent as RoutedAgent).definition.websocketMaxMessageBytes,
    pingIntervalMs: PING_INTERVAL_MS,
    idleTimeoutMs: IDLE_TIMEOUT_MS,
    onClose(report) {
      over = true;
      if (conversation !== null) exchanges.delete(conversation);
      record.bytesIn = report.clientBytes;
      record.bytesOut = report.upstreamBytes;
      record.aborted = report.by === 'client' && report.code === 1006;
      record.internalReason = `closed by the ${report.by} with ${report.code}`;
      passage.finish();
    },
  });
  exchanges.delete(passage);
  // A side that was closed already has ended the relay by now.
  if (over) return;
  conversation = new Conversation(passage.caller, joined);
  exchanges.add(conversation);
}

/** Registers GET at `url`, which is where WebSockets come in; what is no upgrade is handed to `http`. */
export function serveWebSockets(
  path: WebSocketPath,
  url: string,
  http: (request: FastifyRequest, reply: FastifyReply) => void,
): void {
  path.app.websocketServer.on('headers', (lines: string[], req: IncomingMessage) => {
    const held = ready.get(req);
    if (held !== undefined) lines.push(`x-request-id: ${held.passage.record.requestId}`);
  });
  path.app.route({
    method: 'GET',
    url,
    exposeHeadRoute: false,
    onRequest(request: FastifyRequest, reply: FastifyReply, done: () => void) {
      if (!request.ws) {
        http(request, reply);
        return;
      }
      const passage = openPassage(request, reply.raw, path.options, true, path.answer);
      void prepare(passage, path).then((agreed) => {
        if (agreed) done();
        else reply.hijack();
      });
    },
    handler() {
      throw new Error('a hijacked request reached its handler');
    },
    wsHandler: (client, request) => converse(client, request, path),
  });
}
