/**
 * The shape of `sage.yaml`. `docs/configuration.md` and `docs/schema/sage.json` are written from it (`npm run docs`):
 * `title` says what a value must be, in faults too; `description` what it means; `x-absent` what its absence means.
 */
import { type Static, Type } from 'typebox';
import { AgentSchema } from './agents/entry.ts';
import { AGENTS_MAX } from './agents/stored-agents.ts';

const CHAINS_MAX = 16;
const REGISTRIES_MAX = 64;
const OPERATORS_MAX = 100;
const SHARED_KEYS_MAX = 1_000;

const strict = { additionalProperties: false } as const;

export const RegistrySchema = Type.Object(
  {
    address: Type.String({
      pattern: '^0x[0-9a-fA-F]{40}$',
      title: '`0x` and 40 hex digits',
      description: 'the contract',
    }),
    kind: Type.Optional(
      Type.Enum(['erc8004', 'ethr', 'agent-card'], {
        default: 'erc8004',
        description:
          'what it is: a registry of agents (ERC-8004), the one of did:ethr (ERC-1056), or the AgentCardRegistry of SAGE, read only',
      }),
    ),
    from_block: Type.Optional(
      Type.Integer({
        minimum: 0,
        default: 0,
        description: 'its deployment; nothing before is read, which makes cold look-ups cheap',
      }),
    ),
  },
  strict,
);

export const ChainSchema = Type.Object(
  {
    id: Type.Integer({
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'the EIP-155 chain id',
    }),
    registries: Type.Array(RegistrySchema, {
      minItems: 1,
      maxItems: REGISTRIES_MAX,
      description: 'the contracts whose DIDs may call',
    }),
    finality: Type.Optional(
      Type.Union([Type.Literal('safe'), Type.Integer({ minimum: 0, maximum: 10_000 })], {
        default: 'safe',
        title: '`safe`, or 0 to 10,000',
        description:
          'when a new key counts: in a block the chain calls safe, or under so many blocks. What takes a key away counts at once',
      }),
    ),
  },
  strict,
);

const Did = {
  pattern: '^did:[a-z0-9]+:',
  maxLength: 2_048,
  title: 'a DID',
  description: 'whose keys sign the requests',
};

export const OperatorSchema = Type.Object(
  {
    did: Type.String(Did),
    role: Type.Enum(['viewer', 'operator', 'admin'], { description: 'what they may do' }),
  },
  strict,
);

export const SharedKeySchema = Type.Object(
  {
    keyid: Type.String({
      pattern: '^did:[a-z0-9]+:[^#]+#[A-Za-z0-9._~-]{1,128}$',
      maxLength: 512,
      title: 'a DID with a fragment',
      description: 'what `keyid` says; the caller is the DID before the `#`',
    }),
    secret_file: Type.String({
      minLength: 1,
      title: 'a path',
      description: 'at least 32 random bytes in base64 or base64url, relative to this file',
    }),
  },
  strict,
);

export const ConfigSchema = Type.Object(
  {
    apiVersion: Type.Literal('sage/v1', { description: 'the form of this file' }),
    agents: Type.Array(AgentSchema, {
      maxItems: AGENTS_MAX,
      description: "who is served under `/agents/<id>/`; the operators' API can add more",
    }),
    policy: Type.Optional(
      Type.String({
        minLength: 1,
        title: 'a path',
        description:
          '[policy file](../src/policy/README.md), relative to this file. With one, it decides alone: no `allow` list is read. Without one, the lists decide',
      }),
    ),
    chains: Type.Optional(
      Type.Array(ChainSchema, {
        maxItems: CHAINS_MAX,
        description:
          'where did:sage and did:ethr callers are registered; each needs an endpoint in `CHAIN_RPC_URLS`',
      }),
    ),
    shared_keys: Type.Optional(
      Type.Array(SharedKeySchema, {
        maxItems: SHARED_KEYS_MAX,
        description:
          'callers who sign with a secret that this gateway has too (`hmac-sha256`), instead of a key of their own. Whoever has the secret can sign as the caller, this gateway included',
      }),
    ),
    operators: Type.Optional(
      Type.Array(Type.Union([Type.String(Did), OperatorSchema]), {
        maxItems: OPERATORS_MAX,
        description:
          "DIDs whose signed requests open the operators' API: a DID, which gets the role `operator`, or an entry as below",
      }),
    ),
  },
  strict,
);

export type ConfigFile = Static<typeof ConfigSchema>;
