/** A whole gateway for a test: its files in a folder of its own, agents behind it, callers in front of it. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { buildGateway } from '../../src/app.ts';
import { readEnv } from '../../src/env.ts';
import { selfSigned } from './tls.ts';

export interface GatewayFiles {
  /** The `agents:` of sage.yaml, one flow mapping each: `{ id: echo, upstreams: ["http://…"] }`. */
  readonly agents: readonly string[];
  /** The policy file; without it the agents' allow lists decide. */
  readonly policy?: string;
  /** Further top-level keys of sage.yaml, such as `chains`. */
  readonly more?: string;
}

export interface GatewayOptions extends GatewayFiles {
  readonly env?: Readonly<Record<string, string>>;
  readonly tls?: boolean;
  /** Whether to go on in the second of its start, whose signatures it refuses. */
  readonly atOnce?: boolean;
  /** A folder made by `makeFolder`, for a gateway that is started again; by default one of its own. */
  readonly folder?: string;
}

/** What reaches a gateway, wherever it runs. */
export interface Reachable {
  readonly port: number;
  /** Scheme, address and port under which it is called. */
  readonly origin: string;
  /** What to trust, when it speaks TLS. */
  readonly ca: string | undefined;
}

export type LogLine = Readonly<Record<string, unknown>> & { readonly level: string; readonly msg: string };

export interface TestGateway extends Reachable, AsyncDisposable {
  readonly app: FastifyInstance;
  readonly folder: string;
  /** Every line logged so far, oldest first. */
  readonly lines: readonly LogLine[];
  /** Replaces sage.yaml, as an editor does. */
  configure(files: GatewayFiles): void;
  /** Replaces policy.yaml. */
  decideBy(policy: string): void;
  close(): Promise<void>;
}

/** No limit is met by accident: every test shares one source address. */
export const ROOMY = 'limits: [{ id: per-ip, key: ip, when: pre_auth, rate: 600000/m, burst: 10000 }]';
/** Every proven caller may do everything. */
export const ALLOW_ALL = policyOf('rules: [{ id: everybody, effect: allow, match: { path: /agents/** } }]');

/** A policy of these top-level entries, with room for a test's calls unless it sets `limits` itself. */
export function policyOf(entries: string): string {
  const limits = /^limits:/m.test(entries) ? '' : `${ROOMY}\n`;
  return `apiVersion: sage/v1\nkind: PolicySet\nmetadata: { name: test }\n${limits}${entries}\n`;
}

export function configOf({ agents, policy, more = '' }: GatewayFiles): string {
  const file = policy === undefined ? '' : 'policy: ./policy.yaml\n';
  const list = agents.length === 0 ? ' []\n' : `\n${agents.map((agent) => `  - ${agent}\n`).join('')}`;
  return `apiVersion: sage/v1\nagents:${list}${file}${more}\n`;
}

export function makeFolder(): string {
  return mkdtempSync(join(tmpdir(), 'sage-e2e-'));
}

/** By rename, so that no half-written file is ever seen. */
export function replaceFile(folder: string, name: string, text: string): void {
  writeFileSync(join(folder, `.${name}.new`), text);
  renameSync(join(folder, `.${name}.new`), join(folder, name));
}

/** Writes what a gateway reads; returns its environment. */
export async function writeGatewayFiles(
  folder: string,
  options: GatewayOptions,
): Promise<Record<string, string>> {
  replaceFile(folder, 'sage.yaml', configOf(options));
  if (options.policy !== undefined) replaceFile(folder, 'policy.yaml', options.policy);
  const env: Record<string, string> = {
    PORT: '0',
    CONFIG_FILE: join(folder, 'sage.yaml'),
    DATA_DIR: join(folder, 'data'),
    LOG_LEVEL: 'info',
  };
  if (options.tls === true) {
    const { cert, key } = await selfSigned();
    writeFileSync(join(folder, 'cert.pem'), cert);
    writeFileSync(join(folder, 'key.pem'), key, { mode: 0o600 });
    Object.assign(env, { TLS_CERT_FILE: join(folder, 'cert.pem'), TLS_KEY_FILE: join(folder, 'key.pem') });
  }
  return { ...env, ...options.env };
}

/**
 * Signatures are dated in whole seconds, and one of the second in which a gateway (or its Redis) started may be older
 * than it. There is no event for a second that has passed.
 */
export function nextSecond(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1_005 - (Date.now() % 1_000)));
}

/** Starts a gateway in this process; it takes signatures when this resolves. */
export async function openGateway(options: GatewayOptions): Promise<TestGateway> {
  const folder = options.folder ?? makeFolder();
  const lines: LogLine[] = [];
  const env = readEnv(await writeGatewayFiles(folder, options));
  const app = await buildGateway(env, { write: (line) => void lines.push(JSON.parse(line) as LogLine) });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  if (options.atOnce !== true) await nextSecond();
  const tls = options.tls === true;
  const close = async (): Promise<void> => {
    await app.close();
    if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
  };
  return {
    app,
    port,
    origin: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    ca: tls ? (await selfSigned()).ca : undefined,
    folder,
    lines,
    configure: (files) => replaceFile(folder, 'sage.yaml', configOf(files)),
    decideBy: (policy) => replaceFile(folder, 'policy.yaml', policy),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** At least 32 characters; the same for gateways that share a Redis. */
export const CLUSTER_SECRET = randomBytes(32).toString('base64url');

/** Polls a condition for which there is no event. */
export async function until<T>(
  find: () => T | Promise<T>,
  what: string,
  timeoutMs = 8_000,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await find();
    if (found !== false && found !== null && found !== undefined) return found as never;
    if (performance.now() > deadline) throw new Error(`did not happen in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
