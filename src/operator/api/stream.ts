/** Events as they happen, by WebSocket. */
import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { type ServerOptions, WebSocketServer } from 'ws';
import { subprotocolsOf } from '../access/handshake-token.ts';
import { principalOf } from '../access/principal.ts';
import { OperatorError } from '../errors.ts';
import type { ClientRequest, StreamClients } from '../stream/clients.ts';
import { EVENT_TYPES } from '../stream/feed.ts';
import type { OperatorApp } from './route.ts';

export interface StreamPorts {
  readonly clients: StreamClients;
  /** CORS_ORIGINS: whose pages may open it, besides those of the gateway's own origin. */
  readonly origins: readonly string[];
}

/** The one subprotocol, for clients that name any. */
const SUBPROTOCOL = 'sage.v1';
/** RFC 6455 4.2.1: 16 bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/;
/** Clients have nothing to say here. */
const MESSAGE_BYTES_MAX = 1_024;
/** After a close frame; a client that is gone does not answer it. */
const CLOSE_TIMEOUT_MS = 5_000;
const RETRY_AFTER_S = 5;
const NOTHING = Buffer.alloc(0);

const Query = Type.Object(
  {
    cursor: Type.Optional(
      Type.String({
        maxLength: 80,
        pattern: '^[A-Za-z0-9]{1,64}-[0-9]{1,15}$',
        title: 'the `id` of an event',
        description: 'The `id` of the last event that was read: what came after it is sent first.',
      }),
    ),
    types: Type.Optional(
      Type.String({
        maxLength: 200,
        description: `Types of events, comma separated; all when left out: ${EVENT_TYPES.join(', ')}.`,
      }),
    ),
  },
  { additionalProperties: false },
);

/** A document can say the form of an answer, not that of a message. */
const Event = Type.Object(
  {
    id: Type.Optional(Type.String({ description: 'For `cursor`; a `gap` has none.' })),
    at: Type.String({ format: 'date-time' }),
    type: Type.String({ description: `One of ${EVENT_TYPES.join(', ')}, or \`gap\`.` }),
    node: Type.Optional(Type.String()),
    data: Type.Object({}, { additionalProperties: true }),
  },
  { title: 'Event', description: 'Never an answer: the form of each message of the WebSocket.' },
);

function invalid(path: string, message: string): OperatorError {
  return new OperatorError('request_invalid', { errors: [{ path, message }] });
}

/** @throws OperatorError request_invalid */
function typesOf(text: string | undefined): ReadonlySet<string> | null {
  if (text === undefined) return null;
  const types = text.split(',');
  const known: readonly string[] = EVENT_TYPES;
  if (!types.every((type) => known.includes(type)))
    throw invalid('query/types', `must be some of ${EVENT_TYPES.join(', ')}, comma separated`);
  return new Set(types);
}

/** @throws OperatorError upgrade_required, request_invalid */
function checkHandshake(request: FastifyRequest): void {
  // Only `@fastify/websocket` sets it, and only for an upgrade.
  if (request.ws !== true)
    throw new OperatorError('upgrade_required', {
      headers: ['upgrade', 'websocket', 'connection', 'upgrade', 'sec-websocket-version', '13'],
    });
  const { 'sec-websocket-version': version, 'sec-websocket-key': key = '' } = request.headers;
  if (version !== '13' || !KEY.test(key))
    throw invalid('header/sec-websocket-key', 'must open a WebSocket of version 13 (RFC 6455)');
  const offered = subprotocolsOf(request);
  if (offered.length > 0 && !offered.includes(SUBPROTOCOL))
    throw invalid('header/sec-websocket-protocol', `must offer ${SUBPROTOCOL} when it offers any`);
}

/**
 * A page of any site can open a WebSocket to any host, and no answer of ours would keep its script from reading it (cross-site
 * WebSocket hijacking). Browsers say whose page it is; whatever is no browser says nothing.
 * @throws OperatorError operator_forbidden
 */
function checkOrigin(request: FastifyRequest, origins: readonly string[]): void {
  const { origin } = request.headers;
  if (origin === undefined || origins.includes(origin)) return;
  if (URL.canParse(origin) && new URL(origin).host === request.host.toLowerCase()) return;
  throw new OperatorError('operator_forbidden', {
    detail: 'Pages of this origin may not open the stream: CORS_ORIGINS does not name it.',
  });
}

/** A server of its own: what agents' callers may send and choose is not what operators may. */
function createServer(): WebSocketServer {
  const options: ServerOptions & { closeTimeout: number; maxFragments: number; maxBufferedChunks: number } = {
    noServer: true,
    maxPayload: MESSAGE_BYTES_MAX,
    maxFragments: 16,
    maxBufferedChunks: 16,
    perMessageDeflate: false,
    clientTracking: false,
    closeTimeout: CLOSE_TIMEOUT_MS,
    // It was offered, or nothing was.
    handleProtocols: () => SUBPROTOCOL,
  };
  return new WebSocketServer(options);
}

/** `GET /v1/stream`. */
export function streamRoutes(app: OperatorApp, { clients, origins }: StreamPorts): void {
  const server = createServer();
  const ids = new WeakMap<IncomingMessage, string>();
  server.on('headers', (lines: string[], req: IncomingMessage) => {
    lines.push(`x-request-id: ${ids.get(req) ?? ''}`, 'cache-control: no-store');
  });

  const readRequest = (request: FastifyRequest<{ Querystring: Static<typeof Query> }>): ClientRequest => {
    checkHandshake(request);
    checkOrigin(request, origins);
    const { cursor = null, types } = request.query;
    const read = { principal: principalOf(request), cursor, types: typesOf(types) };
    // Last, so that nothing lies between it and the client that takes the place.
    if (!clients.open)
      throw new OperatorError('stream_unavailable', { headers: ['retry-after', String(RETRY_AFTER_S)] });
    return read;
  };

  app.addHook('preClose', async () => clients.close());
  app.get(
    '/stream',
    {
      config: {
        scope: 'stream:read',
        tokenInHandshake: true,
        faults: ['upgrade_required', 'stream_unavailable'],
      },
      schema: {
        operationId: 'openStream',
        summary: 'Events as they happen, by WebSocket, resumable by the id of the last one read',
        tags: ['stream'],
        querystring: Query,
        response: {
          101: Type.Null({ description: 'A WebSocket: each message is an event, as JSON text.' }),
          200: Event,
        },
      },
      preHandler(request, reply: FastifyReply, done) {
        try {
          const read = readRequest(request);
          reply.hijack();
          ids.set(request.raw, request.id);
          // A client sends nothing before it is answered.
          server.handleUpgrade(request.raw, request.raw.socket, NOTHING, (socket) =>
            clients.add(socket, read),
          );
        } catch (error) {
          done(error as Error);
        }
      },
    },
    () => {
      throw new TypeError('a hijacked request reached its handler');
    },
  );
}
