/**
 * The process's configuration: the only reader of `process.env`. Every variable is declared once, in `VARIABLES`,
 * which `.env.example` is tested against; all faults are reported in one message.
 */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { createSecureContext } from 'node:tls';

export interface Env {
  readonly host: string;
  readonly port: number;
  readonly tls: { readonly key: string; readonly cert: string } | null;
  /** Origins under which callers reach this gateway; `@authority` and `@target-uri` are checked against them. */
  readonly publicOrigins: readonly string[];
  readonly sageEnv: 'production' | 'development';
  readonly trustedProxies: string;
  readonly configFile: string;
  readonly dataDir: string;
  readonly redisUrl: string | null;
  readonly clusterSecret: string | null;
  readonly chainRpcUrls: readonly ChainRpcUrl[];
  readonly regionDatabaseFile: string | null;
  readonly operatorApiKey: string | null;
  readonly explainRefusals: boolean;
  readonly logLevel: LogLevel;
  readonly otlpEndpoint: string | null;
  readonly otelServiceName: string;
  readonly drainTimeoutMs: number;
  readonly bodyBufferBytes: number;
  readonly bodyBufferTotalBytes: number;
  readonly bodyIdleTimeoutMs: number;
  readonly maxHeaderBytes: number;
  readonly maxConnections: number;
  readonly headersTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly signatureMaxAgeSeconds: number;
  readonly clockSkewSeconds: number;
  readonly chainPollIntervalMs: number;
}

/** One RPC endpoint; `chainId` is null when the entry names none and so belongs to the only chain configured. */
export interface ChainRpcUrl {
  readonly chainId: number | null;
  readonly url: string;
}

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Thrown by `readEnv`; its message lists every fault, one a line, and never repeats a secret's value. */
export class EnvError extends Error {
  readonly code = 'SAGE_ENV_INVALID';
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`The environment cannot be used:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
    this.name = 'EnvError';
    this.faults = faults;
  }
}

/** Names in the order of `.env.example`. */
export const VARIABLES = [
  'HOST',
  'PORT',
  'TLS_CERT_FILE',
  'TLS_KEY_FILE',
  'PUBLIC_ORIGINS',
  'SAGE_ENV',
  'TRUSTED_PROXIES',
  'CONFIG_FILE',
  'DATA_DIR',
  'REDIS_URL',
  'CLUSTER_SECRET',
  'CHAIN_RPC_URLS',
  'CHAIN_POLL_INTERVAL_MS',
  'REGION_DATABASE_FILE',
  'OPERATOR_API_KEY',
  'EXPLAIN_REFUSALS',
  'SIGNATURE_MAX_AGE_SECONDS',
  'CLOCK_SKEW_SECONDS',
  'BODY_BUFFER_BYTES',
  'BODY_BUFFER_TOTAL_BYTES',
  'BODY_IDLE_TIMEOUT_MS',
  'MAX_HEADER_BYTES',
  'MAX_CONNECTIONS',
  'HEADERS_TIMEOUT_MS',
  'KEEP_ALIVE_TIMEOUT_MS',
  'DRAIN_TIMEOUT_MS',
  'LOG_LEVEL',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'OTEL_SERVICE_NAME',
] as const;
type Variable = (typeof VARIABLES)[number];

/** Shorter secrets can be guessed offline from one HMAC. */
const SECRET_LENGTH_MIN = 32;
const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);

/** Collects faults so that an operator mends them all at once. */
class Reader {
  readonly faults: string[] = [];
  readonly #source: NodeJS.ProcessEnv;

  constructor(source: NodeJS.ProcessEnv) {
    this.#source = source;
  }

  text(name: Variable): string | null {
    const value = this.#source[name]?.trim();
    return value === undefined || value === '' ? null : value;
  }

  integer(name: Variable, fallback: number, min: number, max: number): number {
    const text = this.text(name);
    if (text === null) return fallback;
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    this.faults.push(`${name} must be a whole number from ${min} to ${max}, not "${text}"`);
    return fallback;
  }

  choice<T extends string>(name: Variable, fallback: T, choices: readonly T[]): T {
    const text = this.text(name);
    if (text === null) return fallback;
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    this.faults.push(`${name} must be one of ${choices.join(', ')}, not "${text}"`);
    return fallback;
  }

  flag(name: Variable, fallback: boolean): boolean {
    return this.choice(name, fallback ? 'true' : 'false', ['true', 'false']) === 'true';
  }

  url(name: Variable, text: string, protocols: readonly string[]): URL | null {
    const url = URL.canParse(text) ? new URL(text) : null;
    if (url !== null && protocols.includes(url.protocol)) return url;
    // A URL may carry a password, so the fault names the variable and not the value.
    this.faults.push(`${name} must hold URLs of ${protocols.map((p) => `${p}//`).join(' or ')}`);
    return null;
  }

  secret(name: Variable): string | null {
    const value = this.text(name);
    if (value !== null && value.length < SECRET_LENGTH_MIN) {
      this.faults.push(`${name} must have at least ${SECRET_LENGTH_MIN} characters`);
    }
    return value;
  }

  file(name: Variable): string | null {
    const path = this.text(name);
    if (path === null) return null;
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      this.faults.push(
        `${name}: cannot read ${path} (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`,
      );
      return null;
    }
  }
}

function readTls(read: Reader): Env['tls'] {
  const named = [read.text('TLS_CERT_FILE'), read.text('TLS_KEY_FILE')];
  if (named[0] === null && named[1] === null) return null;
  if (named[0] === null || named[1] === null) {
    read.faults.push('TLS_CERT_FILE and TLS_KEY_FILE must be given together');
    return null;
  }
  const cert = read.file('TLS_CERT_FILE');
  const key = read.file('TLS_KEY_FILE');
  if (cert === null || key === null) return null;
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    read.faults.push(`TLS_CERT_FILE and TLS_KEY_FILE must hold a certificate and its key in PEM (${why})`);
  }
  return { cert, key };
}

function readOrigins(read: Reader): string[] {
  const origins: string[] = [];
  for (const text of (read.text('PUBLIC_ORIGINS') ?? '').split(',')) {
    if (text.trim() === '') continue;
    const url = read.url('PUBLIC_ORIGINS', text.trim(), ['http:', 'https:']);
    if (url === null) continue;
    if (
      url.origin !==
      text
        .trim()
        .toLowerCase()
        .replace(/:(80|443)$/, '')
    ) {
      read.faults.push(
        `PUBLIC_ORIGINS must hold bare origins such as https://gateway.example, not "${text.trim()}"`,
      );
    }
    origins.push(url.origin);
  }
  return origins;
}

function readChainUrls(read: Reader): ChainRpcUrl[] {
  const urls: ChainRpcUrl[] = [];
  for (const entry of (read.text('CHAIN_RPC_URLS') ?? '').split(',')) {
    if (entry.trim() === '') continue;
    const match = /^(?:eip155:([1-9]\d{0,15})=)?(.+)$/.exec(entry.trim());
    const url = read.url('CHAIN_RPC_URLS', match?.[2] ?? '', ['http:', 'https:', 'ws:', 'wss:']);
    if (url !== null)
      urls.push({ chainId: match?.[1] === undefined ? null : Number(match[1]), url: url.href });
  }
  return urls;
}

/** What one process may not do without saying so; see also docs/configuration.md. */
function checkTogether(env: Env, faults: string[]): void {
  const loopback = LOOPBACK.has(env.host);
  if (!loopback && env.publicOrigins.length === 0) {
    faults.push(
      `PUBLIC_ORIGINS is needed when HOST (${env.host}) is not loopback: signatures name the origin they were made for`,
    );
  }
  if (env.redisUrl !== null && env.clusterSecret === null) {
    faults.push(
      'CLUSTER_SECRET is needed with REDIS_URL: it authenticates the keys that nodes share through Redis',
    );
  }
  if (env.sageEnv === 'development' && !loopback) {
    faults.push(
      `SAGE_ENV=development opens the operator's routes and is allowed on loopback only, not on HOST ${env.host}`,
    );
  }
  if (env.sageEnv === 'production' && !loopback && env.tls === null && env.trustedProxies === '') {
    faults.push(
      'TLS_CERT_FILE and TLS_KEY_FILE, or TRUSTED_PROXIES for a TLS terminator in front, are needed off loopback',
    );
  }
  if (env.bodyBufferTotalBytes < env.bodyBufferBytes) {
    faults.push('BODY_BUFFER_TOTAL_BYTES must not be less than BODY_BUFFER_BYTES');
  }
}

/**
 * Reads and checks the whole environment.
 * @throws {EnvError} listing every fault found.
 */
export function readEnv(source: NodeJS.ProcessEnv = process.env): Env {
  const read = new Reader(source);
  const host = read.text('HOST') ?? '127.0.0.1';
  if (isIP(host) === 0 && host !== 'localhost')
    read.faults.push(`HOST must be an IP address or localhost, not "${host}"`);
  const redisUrl = read.text('REDIS_URL');
  if (redisUrl !== null) read.url('REDIS_URL', redisUrl, ['redis:', 'rediss:']);
  const otlpEndpoint = read.text('OTEL_EXPORTER_OTLP_ENDPOINT');
  if (otlpEndpoint !== null) read.url('OTEL_EXPORTER_OTLP_ENDPOINT', otlpEndpoint, ['http:', 'https:']);
  const env: Env = {
    host,
    port: read.integer('PORT', 8080, 0, 65_535),
    tls: readTls(read),
    publicOrigins: readOrigins(read),
    sageEnv: read.choice('SAGE_ENV', 'production', ['production', 'development']),
    trustedProxies: read.text('TRUSTED_PROXIES') ?? '',
    configFile: read.text('CONFIG_FILE') ?? './sage.yaml',
    dataDir: read.text('DATA_DIR') ?? '.',
    redisUrl,
    clusterSecret: read.secret('CLUSTER_SECRET'),
    chainRpcUrls: readChainUrls(read),
    regionDatabaseFile: read.text('REGION_DATABASE_FILE'),
    operatorApiKey: read.secret('OPERATOR_API_KEY'),
    explainRefusals: read.flag('EXPLAIN_REFUSALS', false),
    logLevel: read.choice('LOG_LEVEL', 'info', LOG_LEVELS),
    otlpEndpoint,
    otelServiceName: read.text('OTEL_SERVICE_NAME') ?? 'sage-gateway',
    drainTimeoutMs: read.integer('DRAIN_TIMEOUT_MS', 10_000, 100, 600_000),
    bodyBufferBytes: read.integer('BODY_BUFFER_BYTES', 1_048_576, 1_024, 268_435_456),
    bodyBufferTotalBytes: read.integer('BODY_BUFFER_TOTAL_BYTES', 134_217_728, 1_048_576, 17_179_869_184),
    bodyIdleTimeoutMs: read.integer('BODY_IDLE_TIMEOUT_MS', 15_000, 100, 600_000),
    maxHeaderBytes: read.integer('MAX_HEADER_BYTES', 32_768, 4_096, 262_144),
    maxConnections: read.integer('MAX_CONNECTIONS', 10_000, 1, 1_000_000),
    headersTimeoutMs: read.integer('HEADERS_TIMEOUT_MS', 10_000, 100, 600_000),
    keepAliveTimeoutMs: read.integer('KEEP_ALIVE_TIMEOUT_MS', 72_000, 1_000, 600_000),
    signatureMaxAgeSeconds: read.integer('SIGNATURE_MAX_AGE_SECONDS', 60, 1, 300),
    clockSkewSeconds: read.integer('CLOCK_SKEW_SECONDS', 5, 0, 60),
    chainPollIntervalMs: read.integer('CHAIN_POLL_INTERVAL_MS', 1_000, 50, 60_000),
  };
  checkTogether(env, read.faults);
  if (read.faults.length > 0) throw new EnvError(read.faults);
  return env;
}

/** The environment of a child process: ours, with some variables set and others (null) taken away. */
export function childEnvironment(
  changes: Readonly<Record<string, string | null>>,
  source: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  const environment = { ...source };
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) delete environment[name];
    else environment[name] = value;
  }
  return environment;
}
