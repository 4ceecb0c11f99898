/** An agent as people write it: in `sage.yaml`, and in the bodies of the operators' API. */
import { type Static, Type } from 'typebox';
import { PROFILE_NAMES } from '../trust/profiles/profile.ts';
import { DEFAULT_PROFILES } from '../trust/profiles/profiles.ts';
import type { AgentDefinition } from './registry.ts';

const UPSTREAMS_MAX = 64;
const ALLOW_MAX = 10_000;

const strict = { additionalProperties: false } as const;

const Milliseconds = (fallback: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 3_600_000, default: fallback, description });

/** One instance, where more is to be said of it than its origin. */
export const UpstreamSchema = Type.Object(
  {
    url: Type.String({
      title: 'an `http:` or `https:` origin',
      description: 'where the instance listens',
    }),
    protocol: Type.Optional(
      Type.Enum(['http/1.1', 'h2'], {
        default: 'http/1.1',
        description: '`h2` is by prior knowledge over `http:`, by ALPN over `https:`',
      }),
    ),
  },
  strict,
);

/** One agent in the words of `sage.yaml`, which the operators' API speaks too. */
export const AgentSchema = Type.Object(
  {
    id: Type.String({
      pattern: '^[a-z0-9][a-z0-9._-]{0,62}$',
      title: '1 to 63 of `a-z 0-9 . _ -`, the first a letter or digit',
      description: 'what stands in the path; used once',
    }),
    did: Type.Optional(
      Type.String({
        pattern: '^did:[a-z0-9]+:',
        title: 'a DID',
        description: "the agent's own identity; shown to operators, not used yet",
      }),
    ),
    upstreams: Type.Array(Type.Union([Type.String({ minLength: 1 }), UpstreamSchema]), {
      minItems: 1,
      maxItems: UPSTREAMS_MAX,
      description: 'its instances, each once, which take turns: an origin, or an entry as below',
    }),
    authentication: Type.Optional(
      Type.Enum(['required', 'none'], {
        default: 'required',
        description:
          'with `none` nobody is identified: only rules of the policy that name no `did` can match. `allow` may not stand beside it',
      }),
    ),
    profiles: Type.Optional(
      Type.Array(Type.Enum([...PROFILE_NAMES]), {
        minItems: 1,
        maxItems: PROFILE_NAMES.length,
        uniqueItems: true,
        default: [...DEFAULT_PROFILES],
        title: 'a list of `rfc9421`, `web-bot-auth`, `sage-g2`, `sage-0.10`, `sage-g1`, `erc8128`, each once',
        description:
          '[how requests may be signed](../src/trust/profiles/README.md). `sage-g1` does not bind a signature to this server: the log warns of it',
      }),
    ),
    allow: Type.Optional(
      Type.Array(Type.String({ pattern: '^(\\*|did:[a-z0-9]+:)' }), {
        maxItems: ALLOW_MAX,
        'x-absent': 'nobody',
        description: 'who may call when there is no policy: DIDs, or their beginning and `*`',
      }),
    ),
    body: Type.Optional(
      Type.Enum(['buffer', 'stream'], {
        default: 'buffer',
        description:
          '`buffer`: at most `BODY_BUFFER_BYTES`, proven before the agent sees a byte. `stream`: forwarded as it comes, the last chunk withheld until the digest matches; the agent must not act on a body that has not ended',
      }),
    ),
    on_nonce_store_down: Type.Optional(
      Type.Enum(['refuse', 'refuse_unsafe'], {
        default: 'refuse_unsafe',
        description:
          'when Redis cannot be asked: refuse every request, or serve GET, HEAD and OPTIONS, whose replays are then noticed by each node for itself',
      }),
    ),
    connect_timeout_ms: Type.Optional(
      Milliseconds(2_000, 'until the request is on a connection, waiting for a free one included'),
    ),
    response_timeout_ms: Type.Optional(Milliseconds(30_000, "from then until the agent's response head")),
    body_idle_timeout_ms: Type.Optional(
      Milliseconds(300_000, 'the longest silence within a body, whichever side is silent'),
    ),
    retries: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 5,
        default: 1,
        description:
          'further tries where that is safe: what was never sent, and idempotent methods whose connection broke',
      }),
    ),
    websocket_max_message_bytes: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 67_108_864,
        default: 1_048_576,
        description: 'a larger message closes the WebSocket with 1009',
      }),
    ),
  },
  strict,
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
    profiles: entry.profiles ?? DEFAULT_PROFILES,
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
