/**
 * Every variable of the environment: its default, its bounds and what it means. `env.ts` reads by this table,
 * `.env.example` and the table in `docs/configuration.md` are written from it (`npm run docs`).
 */

export interface Declaration {
  /** As text, or null when there is none. */
  readonly fallback: string | null;
  /** Of whole numbers. */
  readonly range?: readonly [min: number, max: number];
  readonly choices?: readonly string[];
  /** What can be given, where range and choices do not say it. */
  readonly form?: string;
  readonly meaning: string;
  /** Shown, commented out, in `.env.example`. */
  readonly example?: string;
}

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

function integer(fallback: number, min: number, max: number, meaning: string) {
  return { fallback: String(fallback), range: [min, max], meaning } as const;
}

function flag(meaning: string) {
  return { fallback: 'false', choices: ['true', 'false'], meaning } as const;
}

function text(fallback: string | null, form: string, meaning: string, example?: string): Declaration {
  return { fallback, form, meaning, ...(example === undefined ? {} : { example }) };
}

/** A secret may come from a file, as orchestrators mount it. */
function byFile(name: string): Declaration {
  return text(null, 'a path', `A file that holds ${name}, in its stead.`);
}

/** By what they are about, in the order of `.env.example`. */
export const GROUPS = {
  'Where it listens': {
    HOST: text(
      '127.0.0.1',
      'an IP address or `localhost`',
      'Off loopback, PUBLIC_ORIGINS and TLS (or TRUSTED_PROXIES) are needed.',
    ),
    PORT: integer(8_080, 0, 65_535, '0 lets the system choose.'),
    TLS_CERT_FILE: text(
      null,
      'a PEM file',
      'The certificate and its chain. With it the port speaks TLS (h2 and HTTP/1.1), without it HTTP/1.1 and h2c. Read at start.',
    ),
    TLS_KEY_FILE: text(null, 'a PEM file', 'Its private key; given together with TLS_CERT_FILE.'),
    PUBLIC_ORIGINS: text(
      null,
      'origins, comma separated',
      'Under which callers reach the gateway. Signatures are checked against these, never against the Host header alone. On loopback the default is the address listened on.',
      'https://gateway.example',
    ),
    SAGE_ENV: {
      fallback: 'production',
      choices: ['production', 'development'],
      meaning:
        "production refuses unsafe values by name: short or default secrets, no TLS off loopback, EXPLAIN_REFUSALS, ALLOW_PRIVATE_DID_HOSTS. development allows them, opens the operators' routes to this machine when no OPERATOR_API_KEY is set, and is refused off loopback.",
    },
    TRUSTED_PROXIES: text(
      null,
      'addresses or CIDRs, comma separated',
      'Whose X-Forwarded-For is believed. A prefix of 0 is refused.',
      '10.0.0.0/8',
    ),
  },
  'Its files': {
    CONFIG_FILE: text(
      './sage.yaml',
      'a path',
      'Agents, policy and chains; watched, and a bad one never replaces a good one.',
    ),
    DATA_DIR: text(
      '.',
      'a folder',
      "The gateway's own files: how far ahead of the clock signatures were accepted and, without DATABASE_URL, the database. Must be writable; its free space is shown in /health/detailed.",
    ),
  },
  'What it remembers': {
    DATABASE_URL: text(
      null,
      '`postgres://` or `postgresql://`',
      'PostgreSQL, which several nodes can share. Without it SQLite serves this node from DATA_DIR.',
      'postgres://sage@127.0.0.1:5432/sage',
    ),
    DATABASE_URL_FILE: byFile('DATABASE_URL'),
    DATABASE_POOL_MAX: integer(10, 2, 200, 'Connections to PostgreSQL at most.'),
    DATABASE_STATEMENT_TIMEOUT_MS: integer(2_000, 50, 60_000, 'After which a statement is given up.'),
    REDIS_URL: text(
      null,
      '`redis://` or `rediss://`',
      "Shared key cache, nonces, limits, blocks and purges. Without it this node's memory serves.",
      'redis://127.0.0.1:6379',
    ),
    REDIS_URL_FILE: byFile('REDIS_URL'),
    CLUSTER_SECRET: text(
      null,
      '32 characters or more',
      'The same on every node; authenticates keys shared through Redis. Needed with REDIS_URL.',
    ),
    CLUSTER_SECRET_FILE: byFile('CLUSTER_SECRET'),
  },
  'Chains and regions': {
    CHAIN_RPC_URLS: text(
      null,
      '`http(s)://` or `ws(s)://`, comma separated',
      'Endpoints; prefix each with `eip155:<chainId>=` when there are several chains. With several of a chain two must agree on every key (three are asked at once); the first is watched, the others stand in.',
      'ws://127.0.0.1:8545',
    ),
    CHAINS_MAY_BEGIN_ANEW: flag(
      'Whether a chain whose head is far below what was followed was restarted, as chains for development are (always believed with `SAGE_ENV=development`). Else its node lags, and is waited for.',
    ),
    CHAIN_POLL_INTERVAL_MS: integer(
      1_000,
      50,
      60_000,
      'How often heads are asked for when an endpoint is http(s): that late a revocation may be heard of.',
    ),
    REGION_DATABASE_FILE: text(
      null,
      'an MMDB file',
      'GeoLite2 Country, DB-IP Lite or alike; a policy with rules on regions is refused without one.',
    ),
  },
  'Who operates it': {
    OPERATOR_API_KEY: text(
      null,
      '32 characters or more',
      'Opens /metrics, /health/detailed and /v1 as admin, by "Authorization: Bearer".',
    ),
    OPERATOR_API_KEY_FILE: byFile('OPERATOR_API_KEY'),
    OIDC_ISSUER: text(
      null,
      'an https URL',
      'Whose bearer tokens (JWT) open /v1, exactly as they name it in `iss`; given together with OIDC_AUDIENCE.',
    ),
    OIDC_AUDIENCE: text(null, 'text', 'What tokens must name in `aud`.'),
    OIDC_ROLE_CLAIM: text(
      'sage_role',
      'text',
      'The claim that holds viewer, operator or admin, or a list with one.',
    ),
    CORS_ORIGINS: text(
      null,
      'origins, comma separated',
      'Whose pages may call /v1 from a browser. Without them, none.',
      'https://console.example',
    ),
    DECISION_LOG_PER_SECOND: integer(
      200,
      0,
      10_000,
      'Rows that the log of decisions takes; refusals come first. 0: it is off.',
    ),
    DECISION_LOG_ROWS: integer(100_000, 1_000, 100_000_000, 'Rows kept.'),
    DECISION_LOG_DAYS: integer(30, 1, 3_650, 'Days they are kept.'),
  },
  'What it accepts': {
    ALLOW_PRIVATE_DID_HOSTS: flag(
      'Whether the hosts of did:web may have private addresses. They must speak https all the same: `NODE_EXTRA_CA_CERTS` names the authority of a development machine.',
    ),
    IDENTIFIERS_OPEN: flag(
      'Whether everybody may ask `/1.0/identifiers/{did}`, and not operators alone. Each question counts against the limit of its address and as a new caller of it.',
    ),
    EXPLAIN_REFUSALS: flag('Tells callers which component failed, what was expected, and how to mend it.'),
    SIGNATURE_MAX_AGE_SECONDS: integer(60, 1, 300, 'How old a signature may be.'),
    CLOCK_SKEW_SECONDS: integer(5, 0, 60, "How far ahead a caller's clock may be."),
    NEW_CALLERS_PER_ADDRESS_PER_MINUTE: integer(
      300,
      1,
      1_000_000,
      'Callers not in memory whose keys are looked up for one address, and at once; counted by each node. DIDs cost nothing to make.',
    ),
    BODY_BUFFER_BYTES: integer(
      1_048_576,
      1_024,
      268_435_456,
      'A signed body up to this size is held and proven before anything is forwarded.',
    ),
    BODY_BUFFER_TOTAL_BYTES: integer(
      134_217_728,
      1_048_576,
      17_179_869_184,
      'What all requests together may hold.',
    ),
    BODY_IDLE_TIMEOUT_MS: integer(15_000, 100, 600_000, 'The longest silence within such a body.'),
    MAX_HEADER_BYTES: integer(32_768, 4_096, 262_144, 'Larger heads get 431.'),
    MAX_CONNECTIONS: integer(10_000, 1, 1_000_000, 'Connections above it are dropped.'),
    HEADERS_TIMEOUT_MS: integer(10_000, 100, 600_000, 'Until the head of a request is whole.'),
    KEEP_ALIVE_TIMEOUT_MS: integer(72_000, 1_000, 600_000, 'After which an idle connection is closed.'),
    DRAIN_TIMEOUT_MS: integer(
      10_000,
      100,
      600_000,
      'How long requests in flight may take to finish after SIGTERM or SIGINT.',
    ),
  },
  'What it tells': {
    LOG_LEVEL: { fallback: 'info', choices: LOG_LEVELS, meaning: 'The least that is logged.' },
    OTEL_EXPORTER_OTLP_ENDPOINT: text(
      null,
      'an http(s) URL',
      'Where traces are sent; the SDK is loaded only with it.',
      'http://127.0.0.1:4318',
    ),
    OTEL_SERVICE_NAME: text('sage-gateway', 'text', 'How it is named in traces.'),
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Declaration>>>>;

type Groups = typeof GROUPS;
type KeysOf<G> = G extends unknown ? keyof G : never;
export type Variable = Extract<KeysOf<Groups[keyof Groups]>, string>;

const entries: [string, Declaration][] = Object.values(GROUPS).flatMap((group) => Object.entries(group));
export const DECLARATIONS: ReadonlyMap<string, Declaration> = new Map(entries);

/** Their names, in the order of `.env.example`. */
export const VARIABLES: readonly string[] = [...DECLARATIONS.keys()];
