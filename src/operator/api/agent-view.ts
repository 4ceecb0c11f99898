/** An agent as operators are shown it. */
import { type Static, Type } from 'typebox';
import type { AgentDefinition } from '../../agents/registry.ts';
import type { MergedAgents, StoredAgent } from '../../agents/stored-agents.ts';
import { PROFILE_NAMES } from '../../trust/profiles/profile.ts';
import { InstantView, instant } from './instants.ts';
import { nullable } from './nullable.ts';

export const Agent = Type.Object(
  {
    id: Type.String(),
    did: nullable(Type.String()),
    authentication: Type.Enum(['required', 'none']),
    upstreams: Type.Array(Type.Object({ url: nullable(Type.String()), protocol: Type.String() })),
    allow: Type.Array(Type.String()),
    profiles: Type.Array(Type.Enum([...PROFILE_NAMES])),
    body: Type.Enum(['buffer', 'stream']),
    on_nonce_store_down: Type.Enum(['refuse', 'refuse_unsafe']),
    connect_timeout_ms: Type.Integer(),
    response_timeout_ms: Type.Integer(),
    body_idle_timeout_ms: Type.Integer(),
    retries: Type.Integer(),
    websocket_max_message_bytes: Type.Integer(),
    source: Type.Enum(['file', 'api'], { description: 'Where it is changed: in sage.yaml, or here.' }),
    version: nullable(
      Type.Integer({ description: 'One more with each change; null for an agent of sage.yaml.' }),
    ),
    updated_at: nullable(InstantView),
    updated_by: nullable(Type.String()),
    shadowed: Type.Boolean({ description: 'An agent of sage.yaml has the same id, and is served instead.' }),
    fault: nullable(Type.String({ description: 'Why it cannot be served.' })),
  },
  { title: 'Agent' },
);
type AgentView = Static<typeof Agent>;

/** A definition holds origins already; what is not one is not shown, since paths and userinfo carry secrets. */
function originOf(url: string): string | null {
  return URL.canParse(url) ? new URL(url).origin : null;
}

function settingsOf(definition: AgentDefinition) {
  const { id, did = null, authentication, upstreams, allow, body, timeouts, retries } = definition;
  return {
    id,
    did,
    authentication,
    upstreams: upstreams.map(({ url, protocol }) => ({ url: originOf(url), protocol })),
    allow: [...allow],
    profiles: [...definition.profiles],
    body,
    on_nonce_store_down: definition.onNonceStoreDown,
    connect_timeout_ms: timeouts.connectMs,
    response_timeout_ms: timeouts.headersMs,
    body_idle_timeout_ms: timeouts.bodyIdleMs,
    retries,
    websocket_max_message_bytes: definition.websocketMaxMessageBytes,
  };
}

export function fileView(definition: AgentDefinition): AgentView {
  return {
    ...settingsOf(definition),
    source: 'file',
    version: null,
    updated_at: null,
    updated_by: null,
    shadowed: false,
    fault: null,
  };
}

/** What a row that cannot be read would be shown as. */
const unread = (id: string): AgentDefinition => ({
  id,
  upstreams: [],
  authentication: 'required',
  allow: [],
  profiles: [],
  body: 'buffer',
  onNonceStoreDown: 'refuse_unsafe',
  timeouts: { connectMs: 0, headersMs: 0, bodyIdleMs: 0 },
  retries: 0,
  websocketMaxMessageBytes: 0,
});

export function storedView({ row, definition, fault, shadowed }: StoredAgent): AgentView {
  return {
    ...settingsOf(definition ?? unread(row.id)),
    source: 'api',
    version: row.version,
    updated_at: instant(row.updatedAtMs),
    updated_by: row.updatedBy,
    shadowed,
    fault: fault === '' ? null : fault,
  };
}

/** The agents of the file among those that are served. */
export function ofFile({ definitions, stored }: MergedAgents): readonly AgentDefinition[] {
  const added = new Set(
    stored.filter(({ shadowed, fault }) => !shadowed && fault === '').map(({ row }) => row.id),
  );
  return definitions.filter(({ id }) => !added.has(id));
}
