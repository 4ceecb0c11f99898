/**
 * The process's configuration: the only reader of `process.env`. Every variable is declared once, in
 * `env-variables.ts`; all faults are reported in one message.
 */
import { isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import { EnvReader } from './env-reader.ts';
import { checkSafety, isLoopback } from './env-safety.ts';
import { LOG_LEVELS } from './env-variables.ts';

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
  readonly newCallersPerMinute: number;
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
  readonly identifiersOpen: boolean;
  /** Whether chains are restarted from their beginning, as those for development are. */
  readonly chainsMayBeginAnew: boolean;
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
  const roleClaim = read.textOr('OIDC_ROLE_CLAIM');
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
  const host = read.textOr('HOST');
  if (isIP(host) === 0 && host !== 'localhost')
    read.faults.push(`HOST must be an IP address or localhost, not "${host}"`);
  const redisUrl = read.secret('REDIS_URL');
  if (redisUrl !== null) read.url('REDIS_URL', redisUrl, ['redis:', 'rediss:']);
  const databaseUrl = read.secret('DATABASE_URL');
  if (databaseUrl !== null) read.url('DATABASE_URL', databaseUrl, ['postgres:', 'postgresql:']);
  const otlpEndpoint = read.text('OTEL_EXPORTER_OTLP_ENDPOINT');
  if (otlpEndpoint !== null) read.url('OTEL_EXPORTER_OTLP_ENDPOINT', otlpEndpoint, ['http:', 'https:']);
  const sageEnv = read.choice('SAGE_ENV', ['production', 'development']);
  const env: Env = {
    host,
    port: read.integer('PORT'),
    tls: readTls(read),
    publicOrigins: readOrigins(read, 'PUBLIC_ORIGINS'),
    sageEnv,
    trustedProxies: read.text('TRUSTED_PROXIES') ?? '',
    configFile: read.textOr('CONFIG_FILE'),
    dataDir: read.textOr('DATA_DIR'),
    redisUrl,
    clusterSecret: read.secret('CLUSTER_SECRET'),
    chainRpcUrls: readChainUrls(read),
    regionDatabaseFile: read.text('REGION_DATABASE_FILE'),
    operatorApiKey: read.secret('OPERATOR_API_KEY'),
    explainRefusals: read.flag('EXPLAIN_REFUSALS'),
    logLevel: read.choice('LOG_LEVEL', LOG_LEVELS),
    otlpEndpoint,
    otelServiceName: read.textOr('OTEL_SERVICE_NAME'),
    drainTimeoutMs: read.integer('DRAIN_TIMEOUT_MS'),
    bodyBufferBytes: read.integer('BODY_BUFFER_BYTES'),
    bodyBufferTotalBytes: read.integer('BODY_BUFFER_TOTAL_BYTES'),
    bodyIdleTimeoutMs: read.integer('BODY_IDLE_TIMEOUT_MS'),
    maxHeaderBytes: read.integer('MAX_HEADER_BYTES'),
    maxConnections: read.integer('MAX_CONNECTIONS'),
    headersTimeoutMs: read.integer('HEADERS_TIMEOUT_MS'),
    keepAliveTimeoutMs: read.integer('KEEP_ALIVE_TIMEOUT_MS'),
    signatureMaxAgeSeconds: read.integer('SIGNATURE_MAX_AGE_SECONDS'),
    newCallersPerMinute: read.integer('NEW_CALLERS_PER_ADDRESS_PER_MINUTE'),
    clockSkewSeconds: read.integer('CLOCK_SKEW_SECONDS'),
    chainPollIntervalMs: read.integer('CHAIN_POLL_INTERVAL_MS'),
    databaseUrl,
    databasePoolMax: read.integer('DATABASE_POOL_MAX'),
    databaseStatementTimeoutMs: read.integer('DATABASE_STATEMENT_TIMEOUT_MS'),
    decisionLogPerSecond: read.integer('DECISION_LOG_PER_SECOND'),
    decisionLogRows: read.integer('DECISION_LOG_ROWS'),
    decisionLogDays: read.integer('DECISION_LOG_DAYS'),
    corsOrigins: readOrigins(read, 'CORS_ORIGINS'),
    oidc: readOidc(read),
    allowPrivateDidHosts: read.flag('ALLOW_PRIVATE_DID_HOSTS'),
    identifiersOpen: read.flag('IDENTIFIERS_OPEN'),
    chainsMayBeginAnew: read.flag('CHAINS_MAY_BEGIN_ANEW') || sageEnv === 'development',
  };
  checkSafety(env, read.faults);
  if (read.faults.length > 0) throw new EnvError(read.faults);
  return env;
}

/**
 * Takes variables from a file such as `.env`; those that are set already win.
 * @throws {EnvError} when it cannot be read
 */
export function useEnvFile(path: string): void {
  try {
    process.loadEnvFile(path);
  } catch (error) {
    throw new EnvError([`cannot read ${path} (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`]);
  }
}

/** What the command line reads besides: where the gateway is, who asks, and how to print. */
export const CLI_VARIABLES = [
  'SAGE_URL',
  'SAGE_API_KEY',
  'SAGE_CA_FILE',
  'SAGE_PRIVATE_KEY',
  'SAGE_PRIVATE_KEY_FILE',
  'SAGE_KEY_ID',
  'SAGE_KEY_ALGORITHM',
  'NO_COLOR',
  'FORCE_COLOR',
] as const;

export interface CliEnv {
  readonly url: string | null;
  readonly apiKey: string | null;
  readonly caFile: string | null;
  /** What the SDK reads a signer from. */
  readonly signer: Readonly<Record<string, string | undefined>>;
  readonly noColour: boolean;
  readonly forceColour: boolean;
  readonly term: string;
  /** Where this user's settings are (XDG Base Directory Specification), or null when they have no home. */
  readonly configHome: string | null;
}

/** Reads what `sage` is told by its environment; nothing in it can be wrong by itself. */
export function readCliEnv(source: NodeJS.ProcessEnv = process.env): CliEnv {
  const text = (name: string): string | null => {
    const value = source[name]?.trim();
    return value === undefined || value === '' ? null : value;
  };
  const home = text('HOME');
  return {
    url: text('SAGE_URL'),
    apiKey: text('SAGE_API_KEY'),
    caFile: text('SAGE_CA_FILE'),
    signer: Object.fromEntries(
      CLI_VARIABLES.filter((name) => /^SAGE_(?:PRIVATE_)?KEY/.test(name)).map((name) => [name, source[name]]),
    ),
    // https://no-color.org: present and not empty, whatever its value.
    noColour: (source.NO_COLOR ?? '') !== '',
    forceColour: !['', '0', 'false'].includes(source.FORCE_COLOR ?? ''),
    term: text('TERM') ?? '',
    configHome: text('XDG_CONFIG_HOME') ?? (home === null ? null : `${home}/.config`),
  };
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
