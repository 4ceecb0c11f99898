/**
 * The process's configuration: the only reader of `process.env`. Every variable is declared once, in `VARIABLES`,
 * which `.env.example` is tested against; all faults are reported in one message.
 */
import { isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import { EnvReader } from './env-reader.ts';
import { checkSafety, isLoopback } from './env-safety.ts';

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
  /** `postgres:` or `postgresql:`; null: SQLite in `dataDir`. */
  readonly databaseUrl: string | null;
  readonly databasePoolMax: number;
  readonly databaseStatementTimeoutMs: number;
  /** Rows a second that the decision log takes; 0: it is off. */
  readonly decisionLogPerSecond: number;
  readonly decisionLogRows: number;
  readonly decisionLogDays: number;
  /** Origins whose pages may call the operators' API from a browser; empty: none. */
  readonly corsOrigins: readonly string[];
  /** Whose bearer tokens open the operators' API; null: nobody's. */
  readonly oidc: OidcSettings | null;
  /** Whether documents may be fetched from private addresses, for DID methods that fetch. */
  readonly allowPrivateDidHosts: boolean;
}

export interface OidcSettings {
  /** Exactly as tokens name it in `iss`. */
  readonly issuer: string;
  readonly audience: string;
  /** The claim that holds the role, or a list with it. */
  readonly roleClaim: string;
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
  'DATABASE_URL',
  'DATABASE_URL_FILE',
  'DATABASE_POOL_MAX',
  'DATABASE_STATEMENT_TIMEOUT_MS',
  'REDIS_URL',
  'REDIS_URL_FILE',
  'CLUSTER_SECRET',
  'CLUSTER_SECRET_FILE',
  'CHAIN_RPC_URLS',
  'CHAIN_POLL_INTERVAL_MS',
  'REGION_DATABASE_FILE',
  'OPERATOR_API_KEY',
  'OPERATOR_API_KEY_FILE',
  'OIDC_ISSUER',
  'OIDC_AUDIENCE',
  'OIDC_ROLE_CLAIM',
  'CORS_ORIGINS',
  'DECISION_LOG_PER_SECOND',
  'DECISION_LOG_ROWS',
  'DECISION_LOG_DAYS',
  'ALLOW_PRIVATE_DID_HOSTS',
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
export type Variable = (typeof VARIABLES)[number];

function readTls(read: EnvReader): Env['tls'] {
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

function readOrigins(read: EnvReader, name: 'PUBLIC_ORIGINS' | 'CORS_ORIGINS'): string[] {
  const origins: string[] = [];
  for (const text of (read.text(name) ?? '').split(',')) {
    if (text.trim() === '') continue;
    const url = read.url(name, text.trim(), ['http:', 'https:']);
    if (url === null) continue;
    if (
      url.origin !==
      text
        .trim()
        .toLowerCase()
        .replace(/:(80|443)$/, '')
    ) {
      read.faults.push(
        `${name} must hold bare origins such as https://gateway.example, not "${text.trim()}"`,
      );
    }
    origins.push(url.origin);
  }
  return origins;
}

function readOidc(read: EnvReader): OidcSettings | null {
  const issuer = read.text('OIDC_ISSUER');
  const audience = read.text('OIDC_AUDIENCE');
  const roleClaim = read.text('OIDC_ROLE_CLAIM') ?? 'sage_role';
  if (issuer === null && audience === null) return null;
  if (issuer === null || audience === null) {
    read.faults.push('OIDC_ISSUER and OIDC_AUDIENCE must be given together');
    return null;
  }
  const url = read.url('OIDC_ISSUER', issuer, ['https:', 'http:']);
  if (url?.protocol === 'http:' && !isLoopback(url.hostname))
    read.faults.push('OIDC_ISSUER must be https: its keys decide who is an operator');
  return { issuer, audience, roleClaim };
}

function readChainUrls(read: EnvReader): ChainRpcUrl[] {
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

/**
 * Reads and checks the whole environment.
 * @throws {EnvError} listing every fault found.
 */
export function readEnv(source: NodeJS.ProcessEnv = process.env): Env {
  const read = new EnvReader(source);
  const host = read.text('HOST') ?? '127.0.0.1';
  if (isIP(host) === 0 && host !== 'localhost')
    read.faults.push(`HOST must be an IP address or localhost, not "${host}"`);
  const redisUrl = read.secret('REDIS_URL');
  if (redisUrl !== null) read.url('REDIS_URL', redisUrl, ['redis:', 'rediss:']);
  const databaseUrl = read.secret('DATABASE_URL');
  if (databaseUrl !== null) read.url('DATABASE_URL', databaseUrl, ['postgres:', 'postgresql:']);
  const otlpEndpoint = read.text('OTEL_EXPORTER_OTLP_ENDPOINT');
  if (otlpEndpoint !== null) read.url('OTEL_EXPORTER_OTLP_ENDPOINT', otlpEndpoint, ['http:', 'https:']);
  const env: Env = {
    host,
    port: read.integer('PORT', 8080, 0, 65_535),
    tls: readTls(read),
    publicOrigins: readOrigins(read, 'PUBLIC_ORIGINS'),
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
    databaseUrl,
    databasePoolMax: read.integer('DATABASE_POOL_MAX', 10, 2, 200),
    databaseStatementTimeoutMs: read.integer('DATABASE_STATEMENT_TIMEOUT_MS', 2_000, 50, 60_000),
    decisionLogPerSecond: read.integer('DECISION_LOG_PER_SECOND', 200, 0, 10_000),
    decisionLogRows: read.integer('DECISION_LOG_ROWS', 100_000, 1_000, 100_000_000),
    decisionLogDays: read.integer('DECISION_LOG_DAYS', 30, 1, 3_650),
    corsOrigins: readOrigins(read, 'CORS_ORIGINS'),
    oidc: readOidc(read),
    allowPrivateDidHosts: read.flag('ALLOW_PRIVATE_DID_HOSTS', false),
  };
  checkSafety(env, read.faults);
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
