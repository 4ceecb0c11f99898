/** Everything the story needs, for real: a chain, our registry on it, callers with keys, two agents, the gateway over TLS. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { base58btc } from 'multiformats/bases/base58';
import { WebSocket } from 'ws';
import { VARIABLES } from '../../env-variables.ts';
import { type Anvil, startAnvil } from '../../trust/chain/anvil.ts';
import { KEY_FLAGS } from '../../trust/chain/key-slot.ts';
import { deployRegistry, openRegistryWriter, type RegistryWriter } from '../../trust/chain/registry.ts';
import { agentDid } from '../../trust/did/did-url.ts';
import type { SignatureAlgorithm } from '../../trust/keys/key.ts';
import { generateSigningKey } from '../../trust/keys/signing.ts';
import { type Signer, signRequest } from '../../trust/sign-request.ts';
import { createLocalCertificate } from './certificate.ts';
import type { Call } from './client.ts';
import { type GatewayProcess, startGateway } from './gateway-process.ts';
import { type SampleAgent, startEchoAgent, startWeatherAgent } from './sample-agents.ts';

export interface Caller {
  readonly name: string;
  readonly did: string;
  readonly agentId: bigint;
  readonly signer: Signer;
}

export interface World {
  readonly registry: RegistryWriter;
  readonly registryAddress: string;
  readonly ca: string;
  readonly weather: SampleAgent;
  readonly fragile: SampleAgent;
  readonly echo: SampleAgent;
  readonly callers: Readonly<Record<'alice' | 'bob' | 'dave', Caller>>;
  /** One gateway, or two that share Redis. */
  readonly gateways: GatewayProcess[];
  readonly shared: boolean;
  /** Where requests are signed for: the first gateway's own origin. */
  origin(): string;
  /** Stops the first gateway, returns its exit code, and starts it again on its port. */
  restart(): Promise<number | null>;
  sign(caller: Signer, request: Unsigned): Call;
  /** Resolves with `performance.now()` when a node says that it has that block. */
  blockSeen(number: number): Promise<number>;
  close(): Promise<void>;
}

export interface Unsigned {
  readonly method: string;
  readonly path: string;
  readonly origin?: string;
  readonly body?: Uint8Array;
  readonly headers?: readonly (readonly [string, string])[];
  /** Seconds from now; 0 when left out. */
  readonly createdOffset?: number;
  readonly expiresOffset?: number;
}

/** A name that both gateways answer to, so that one signature could be tried at each. */
export const SHARED_ORIGIN = 'https://gateway.demo.localhost';

function policyText(registry: string): string {
  return `apiVersion: sage/v1
kind: PolicySet
metadata: { name: demo }
defaults: { effect: deny }
limits:
  - { id: per-ip, key: ip, when: pre_auth, rate: 6000/m, burst: 2000 }
  - { id: per-did, key: did, rate: 60/m, burst: 40 }
rules:
  - id: nothing-is-deleted
    effect: deny
    match: { method: [DELETE] }
    reason: Nothing is deleted here
  - id: registered-agents
    effect: allow
    match: { did: "did:sage:eip155:31337:${registry}:*", path: /agents/** }
tests:
  - name: a registered agent is served
    request: { did: "did:sage:eip155:31337:${registry}:1", method: GET, path: /agents/weather/today, now: "2026-11-20T10:00Z" }
    expect: { allow: true, rule: registered-agents }
  - name: and deletes nothing
    request: { did: "did:sage:eip155:31337:${registry}:1", method: DELETE, path: /agents/weather/today, now: "2026-11-20T10:00Z" }
    expect: { allow: false, rule: nothing-is-deleted }
`;
}

function configText(registry: string, agents: Readonly<Record<string, SampleAgent>>): string {
  const entries = Object.entries(agents).map(
    ([id, { port }]) =>
      `  - { id: ${id}, upstreams: ["http://127.0.0.1:${port}"], response_timeout_ms: 5000 }`,
  );
  return `apiVersion: sage/v1
agents:
${entries.join('\n')}
policy: ./policy.yaml
chains:
  - { id: 31337, registries: [{ address: "${registry}" }], finality: safe }
`;
}

/** Registers a new agent by a transaction, its key in slot `key-1`. */
async function registerCaller(
  writer: RegistryWriter,
  registry: string,
  name: string,
  algorithm: SignatureAlgorithm,
): Promise<Caller> {
  const { signing, multikey } = generateSigningKey(algorithm);
  if (multikey === null) throw new TypeError(`${algorithm} has no Multikey`);
  const slot = { flags: KEY_FLAGS.authentication, notAfter: 0, multikey: base58btc.decode(multikey) };
  const { agentId } = await writer.registerAgent({
    uri: `https://agents.example/${name}`,
    keys: { 'key-1': slot },
  });
  const did = agentDid(31_337, registry, agentId);
  return { name, did, agentId, signer: { keyId: `${did}#key-1`, key: signing } };
}

/** New keys count once their block is safe, which here takes one block more. */
async function mineBlock(anvil: Anvil): Promise<void> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'anvil_mine', params: ['0x2'] });
  const answer = await fetch(anvil.httpUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  await answer.arrayBuffer();
}

/** A subscription of the demo's own, so that the time of a block is not told by the gateway that is being timed. */
async function watchBlocks(url: string): Promise<{ seen(number: number): Promise<number>; close(): void }> {
  const socket = new WebSocket(url);
  const seenAt = new Map<number, number>();
  const waiting = new Map<number, (at: number) => void>();
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('open', () =>
      socket.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_subscribe', params: ['newHeads'] })),
    );
    socket.once('message', () => resolve());
  });
  socket.on('message', (data: Buffer) => {
    const at = performance.now();
    const number = Number(JSON.parse(data.toString('utf8')).params?.result?.number);
    seenAt.set(number, at);
    waiting.get(number)?.(at);
  });
  return {
    seen: (number) => {
      const at = seenAt.get(number);
      return at !== undefined ? Promise.resolve(at) : new Promise((resolve) => waiting.set(number, resolve));
    },
    close: () => socket.terminate(),
  };
}

function signFor(origin: string, { keyId, key }: Signer, request: Unsigned): Call {
  const url = new URL(request.path, request.origin ?? origin);
  const created = Math.floor(Date.now() / 1_000) + (request.createdOffset ?? 0);
  const { method, headers = [], body } = request;
  const signed = signRequest(
    { method, url, headers, ...(body === undefined ? {} : { body }) },
    { keyId, key },
    {
      created,
      nonce: randomBytes(16).toString('base64url'),
      ...(request.expiresOffset === undefined
        ? {}
        : { expires: Math.floor(Date.now() / 1_000) + request.expiresOffset }),
    },
  );
  return { method, url, headers: signed, ...(body === undefined ? {} : { body }) };
}

interface Chain {
  readonly anvil: Anvil;
  readonly registry: RegistryWriter;
  readonly address: string;
  readonly callers: World['callers'];
}

async function openChain(opened: AsyncDisposableStack, say: (text: string) => void): Promise<Chain> {
  const anvil = opened.adopt(await startAnvil(), (it) => it.stop());
  const [account] = anvil.accounts;
  if (account === undefined) throw new Error('the chain has no accounts');
  const owner = { rpcUrl: anvil.httpUrl, chainId: anvil.chainId, privateKey: account.privateKey };
  const { address } = await deployRegistry(owner);
  say(`chain ${anvil.chainId} at ${anvil.httpUrl}, registry ${address}`);
  const registry = opened.adopt(openRegistryWriter({ ...owner, registry: address }), (it) => it.close());
  const callers = {
    alice: await registerCaller(registry, address, 'alice', 'ed25519'),
    bob: await registerCaller(registry, address, 'bob', 'ecdsa-p256-sha256'),
    dave: await registerCaller(registry, address, 'dave', 'ed25519'),
  };
  await mineBlock(anvil);
  for (const { name, did } of Object.values(callers)) say(`${name.padEnd(5)} is ${did}`);
  return { anvil, registry, address, callers };
}

type Agents = Pick<World, 'weather' | 'fragile' | 'echo'>;

async function openAgents(opened: AsyncDisposableStack): Promise<Agents> {
  const stop = (agent: SampleAgent): Promise<void> => agent.stop();
  return {
    weather: opened.adopt(await startWeatherAgent(), stop),
    fragile: opened.adopt(await startWeatherAgent(), stop),
    echo: opened.adopt(await startEchoAgent(), stop),
  };
}

/** Writes the files a gateway reads; returns the environment of the gateway `name` on `port`. */
async function writeFiles(
  folder: string,
  { anvil, address }: Chain,
  agents: Agents,
  redisUrl: string | null,
): Promise<{ ca: string; environment: (name: string, port: number) => Record<string, string | null> }> {
  const { cert, key, ca } = await createLocalCertificate(Date.now());
  const file = (name: string): string => join(folder, name);
  writeFileSync(file('cert.pem'), cert);
  writeFileSync(file('key.pem'), key, { mode: 0o600 });
  writeFileSync(file('policy.yaml'), policyText(address));
  writeFileSync(file('sage.yaml'), configText(address, { ...agents }));
  const clusterSecret = redisUrl === null ? null : randomBytes(32).toString('base64url');
  return {
    ca,
    environment: (name, port) => ({
      ...Object.fromEntries(VARIABLES.map((variable) => [variable, null])),
      HOST: '127.0.0.1',
      PORT: String(port),
      PUBLIC_ORIGINS: `https://127.0.0.1:${port},${SHARED_ORIGIN}`,
      TLS_CERT_FILE: file('cert.pem'),
      TLS_KEY_FILE: file('key.pem'),
      CONFIG_FILE: file('sage.yaml'),
      DATA_DIR: file(name),
      CHAIN_RPC_URLS: anvil.wsUrl,
      REDIS_URL: redisUrl,
      CLUSTER_SECRET: clusterSecret,
      LOG_LEVEL: 'fatal',
    }),
  };
}

/** @param redisUrl two gateways that share it when given */
export async function openWorld(redisUrl: string | null, say: (text: string) => void): Promise<World> {
  await using opened = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'sage-demo-'));
  opened.defer(() => rmSync(folder, { recursive: true, force: true }));
  const chain = await openChain(opened, say);
  const agents = await openAgents(opened);
  const { ca, environment } = await writeFiles(folder, chain, agents, redisUrl);
  const gateways: GatewayProcess[] = [];
  opened.defer(async () => {
    await Promise.all(gateways.map((gateway) => gateway.stop()));
  });
  for (const name of redisUrl === null ? ['a'] : ['a', 'b']) {
    const gateway = await startGateway(environment(name, await freePort()));
    gateways.push(gateway);
    say(`gateway ${name} at https://127.0.0.1:${gateway.port}, up in ${Math.round(gateway.startedInMs)} ms`);
  }
  const blocks = opened.adopt(await watchBlocks(chain.anvil.wsUrl), (it) => it.close());
  const origin = (): string => `https://127.0.0.1:${gateways[0]?.port}`;
  await nextSecond();
  const owned = opened.move();
  return {
    ...agents,
    registry: chain.registry,
    registryAddress: chain.address,
    callers: chain.callers,
    ca,
    gateways,
    shared: redisUrl !== null,
    origin,
    async restart() {
      const [first] = gateways;
      if (first === undefined) return null;
      const code = await first.stop();
      gateways[0] = await startGateway(environment('a', first.port));
      return code;
    },
    sign: (signer, request) => signFor(origin(), signer, request),
    blockSeen: (number) => blocks.seen(number),
    close: () => owned.disposeAsync(),
  };
}

/** Signatures are dated in whole seconds, and one of the second in which a gateway started may be older than it. */
function nextSecond(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1_001 - (Date.now() % 1_000)));
}

/** A port that was free a moment ago; the gateway's origin must be known before it starts. */
async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}
