/** The whole gateway in this process, an agent behind it, and bytes sent by hand. */
import { randomBytes } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { onTestFinished } from 'vitest';
import { WebSocketServer } from 'ws';
import { buildGateway } from '../../../src/app.ts';
import { readEnv } from '../../../src/env.ts';
import type { RequestRecord } from '../../../src/gateway/record.ts';
import { generateSigningKey } from '../../../src/trust/keys/signing.ts';
import { type RequestToSign, type Signer, signRequest } from '../../../src/trust/sign-request.ts';

export interface SeenByAgent {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export interface Path {
  readonly app: FastifyInstance;
  readonly port: number;
  readonly origin: string;
  /** What reached the agent, in its order. */
  readonly seen: SeenByAgent[];
  /** Lets the agent answer the WebSocket handshakes at `/held`, which it keeps until then. */
  releaseHandshakes(): void;
  /** Resolves when the agent has been asked for that many of them. */
  handshakesHeld(count: number): Promise<void>;
  /** Each record that was published. */
  readonly records: RequestRecord[];
  /** Resolves when that many records have been published. */
  recorded(count: number): Promise<void>;
}

const POLICY = `apiVersion: sage/v1
kind: PolicySet
metadata: { name: path-tests }
defaults: { effect: deny }
limits:
  - { id: per-ip, key: ip, when: pre_auth, rate: 60000/m, burst: 20000 }
rules:
  - { id: forbidden, effect: deny, match: { path: /agents/signed/forbidden } }
  - { id: all, effect: allow, match: { path: /agents/** } }
`;

function configText(agentPort: number): string {
  const upstream = `["http://127.0.0.1:${agentPort}"]`;
  return `apiVersion: sage/v1
agents:
  - { id: signed, upstreams: ${upstream} }
  - { id: streamed, upstreams: ${upstream}, body: stream }
  - { id: open, upstreams: ${upstream}, authentication: none }
policy: ./policy.yaml
`;
}

/** A list that can be waited for. */
class Arrivals<T> {
  readonly items: T[] = [];
  #waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  add(item: T): void {
    this.items.push(item);
    for (const { count, resolve } of this.#waiting) if (this.items.length >= count) resolve();
    this.#waiting = this.#waiting.filter(({ count }) => this.items.length < count);
  }

  reached(count: number): Promise<void> {
    if (this.items.length >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }
}

async function startAgent(seen: SeenByAgent[], held: Arrivals<() => void>): Promise<number> {
  const server = createServer((req: IncomingMessage, res) => {
    const chunks: Buffer[] = [];
    // An agent that waits for nobody: it hangs up once it has seen the beginning of a body.
    if (req.url === '/impatient') req.once('data', () => req.socket.destroy());
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const { method = '', url = '', rawHeaders } = req;
      seen.push({ method, url, rawHeaders, body: Buffer.concat(chunks).toString('latin1') });
      res.setHeader('content-type', 'text/plain');
      res.end('served');
    });
    req.on('error', () => res.destroy());
  });
  const sockets = new WebSocketServer({
    server,
    verifyClient: ({ req }, answer) => {
      if (req.url === '/plain') answer(false, 200);
      else if (req.url === '/held') held.add(() => answer(true));
      else answer(true);
    },
  });
  sockets.on('connection', (socket) => {
    socket.on('error', () => socket.terminate());
    socket.on('message', (data: Buffer, binary: boolean) => socket.send(data, { binary }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const client of sockets.clients) client.terminate();
    sockets.close();
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Starts it all; everything ends with the test. */
export async function startPath(variables: Readonly<Record<string, string>> = {}): Promise<Path> {
  const seen: SeenByAgent[] = [];
  const held = new Arrivals<() => void>();
  const agentPort = await startAgent(seen, held);
  const folder = mkdtempSync(join(tmpdir(), 'sage-path-'));
  writeFileSync(join(folder, 'policy.yaml'), POLICY);
  writeFileSync(join(folder, 'sage.yaml'), configText(agentPort));
  const env = readEnv({
    PORT: '0',
    CONFIG_FILE: join(folder, 'sage.yaml'),
    DATA_DIR: folder,
    LOG_LEVEL: 'silent',
    ...variables,
  });
  const app = await buildGateway(env);
  const records = new Arrivals<RequestRecord>();
  const onRecord = (record: unknown): void => records.add(record as RequestRecord);
  subscribe('sage:request.finished', onRecord);
  await app.listen({ host: env.host, port: 0 });
  onTestFinished(async () => {
    unsubscribe('sage:request.finished', onRecord);
    (app.server as { closeAllConnections?: () => void }).closeAllConnections?.();
    await app.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const { port } = app.server.address() as AddressInfo;
  return {
    app,
    port,
    origin: `${env.tls === null ? 'http' : 'https'}://127.0.0.1:${port}`,
    seen,
    releaseHandshakes: () => {
      for (const release of held.items.splice(0)) release();
    },
    handshakesHeld: (count) => held.reached(count),
    records: records.items,
    recorded: (count) => records.reached(count),
  };
}

/** A caller with a did:key of his own. */
export function newCaller(): Signer {
  const { signing, multikey } = generateSigningKey('ed25519');
  return { keyId: `did:key:${multikey}#${multikey}`, key: signing };
}

/** Fields of a request that is signed now. */
export function signed(
  path: Path,
  caller: Signer,
  request: Omit<RequestToSign, 'url'> & { readonly target: string },
): [string, string][] {
  return signRequest({ ...request, url: new URL(request.target, path.origin) }, caller, {
    // Signatures from before the start of the process are refused.
    created: Math.ceil(Date.now() / 1_000),
    nonce: randomBytes(16).toString('base64url'),
  });
}

/** A request head, byte for byte. */
export function head(
  path: Path,
  line: string,
  fields: readonly (readonly [string, string])[],
  more: readonly string[] = [],
): string {
  const lines = [`${line} HTTP/1.1`, `Host: 127.0.0.1:${path.port}`];
  for (const [name, value] of fields) lines.push(`${name}: ${value}`);
  return `${[...lines, ...more].join('\r\n')}\r\n\r\n`;
}

export async function openSocket(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Sends bytes as they are and reads until the other side closes. */
export async function sendRaw(port: number, bytes: string | Buffer): Promise<string> {
  const socket = await openSocket(port);
  let answer = '';
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1');
  });
  socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  await once(socket, 'close');
  return answer;
}

export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
}

/** The problem document's code, or empty. */
export function codeOf(answer: string): string {
  return /"code":"([a-z_0-9]+)"/.exec(answer)?.[1] ?? '';
}

/** The fields of a WebSocket handshake. */
export const HANDSHAKE: readonly string[] = [
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
];
