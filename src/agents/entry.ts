/** An agent as people write it: in `sage.yaml`, and in the bodies of the operators' API. */
import { type Static, Type } from 'typebox';
import type { AgentDefinition } from './registry.ts';

const UPSTREAMS_MAX = 64;
const ALLOW_MAX = 10_000;

const Milliseconds = (fallback: number, maximum = 3_600_000) =>
  Type.Integer({ minimum: 1, maximum, default: fallback });

const UpstreamSchema = Type.Union([
  Type.String({ minLength: 1 }),
  Type.Object(
    { url: Type.String(), protocol: Type.Optional(Type.Enum(['http/1.1', 'h2'])) },
    { additionalProperties: false },
  ),
]);

/** One agent in the words of `sage.yaml`, which the operators' API speaks too. */
export const AgentSchema = Type.Object(
  {
    id: Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{0,62}$' }),
    did: Type.Optional(Type.String({ pattern: '^did:[a-z0-9]+:' })),
    upstreams: Type.Array(UpstreamSchema, { minItems: 1, maxItems: UPSTREAMS_MAX }),
    authentication: Type.Optional(Type.Enum(['required', 'none'])),
    allow: Type.Optional(
      Type.Array(Type.String({ pattern: '^(\\*|did:[a-z0-9]+:)' }), { maxItems: ALLOW_MAX }),
    ),
    body: Type.Optional(Type.Enum(['buffer', 'stream'])),
    on_nonce_store_down: Type.Optional(Type.Enum(['refuse', 'refuse_unsafe'])),
    connect_timeout_ms: Type.Optional(Milliseconds(2_000)),
    response_timeout_ms: Type.Optional(Milliseconds(30_000)),
    body_idle_timeout_ms: Type.Optional(Milliseconds(300_000)),
    retries: Type.Optional(Type.Integer({ minimum: 0, maximum: 5 })),
    websocket_max_message_bytes: Type.Optional(Type.Integer({ minimum: 1, maximum: 67_108_864 })),
  },
  { additionalProperties: false },
);

export type AgentEntry = Static<typeof AgentSchema>;

/** The origin that is meant, or null for what is none. */
function originOf(url: string): string | null {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) return null;
  const bare =
    parsed.username === '' && parsed.password === '' && parsed.pathname === '/' && !/[?#]/.test(url);
  return bare ? parsed.origin : null;
}

/** Each upstream as its origin, so that one is not taken for two because of a slash. */
function toUpstream(entry: AgentEntry['upstreams'][number]): { url: string; protocol: 'http/1.1' | 'h2' } {
  const { url, protocol = 'http/1.1' } = typeof entry === 'string' ? { url: entry } : entry;
  return { url: originOf(url) ?? url, protocol };
}

/** The entry with its defaults. */
export function toAgent(entry: AgentEntry): AgentDefinition {
  return {
    id: entry.id,
    ...(entry.did === undefined ? {} : { did: entry.did }),
    upstreams: entry.upstreams.map(toUpstream),
    authentication: entry.authentication ?? 'required',
    allow: entry.allow ?? [],
    body: entry.body ?? 'buffer',
    onNonceStoreDown: entry.on_nonce_store_down ?? 'refuse_unsafe',
    timeouts: {
      connectMs: entry.connect_timeout_ms ?? 2_000,
      headersMs: entry.response_timeout_ms ?? 30_000,
      bodyIdleMs: entry.body_idle_timeout_ms ?? 300_000,
    },
    retries: entry.retries ?? 1,
    websocketMaxMessageBytes: entry.websocket_max_message_bytes ?? 1_048_576,
  };
}

/** Takes a fault and where it stands: keys and positions from the entry downwards. */
export type Report = (path: readonly (string | number)[], message: string) => void;

/** What the schema cannot say of one entry. */
export function checkAgent(agent: AgentEntry, fault: Report): void {
  if (agent.authentication === 'none' && agent.allow !== undefined)
    fault(['allow'], '"allow" has no meaning with authentication: none');
  const seen = new Set<string>();
  agent.upstreams.forEach((entry, position) => {
    const path = ['upstreams', position];
    const { url, protocol } = toUpstream(entry);
    if (originOf(url) === null)
      fault(path, 'an upstream is an origin such as http://127.0.0.1:9100, without path or credentials');
    else if (seen.has(`${protocol} ${url}`)) fault(path, `upstream ${url} is listed twice`);
    seen.add(`${protocol} ${url}`);
  });
}
