/** A JSON Web Key (RFC 7517), private or public. The platforms' own `JsonWebKey` fits it, and it fits them. */
export interface Jwk {
  readonly kty?: string | undefined;
  readonly crv?: string | undefined;
  readonly x?: string | undefined;
  readonly y?: string | undefined;
  readonly d?: string | undefined;
  readonly n?: string | undefined;
  readonly e?: string | undefined;
  readonly p?: string | undefined;
  readonly q?: string | undefined;
  readonly dp?: string | undefined;
  readonly dq?: string | undefined;
  readonly qi?: string | undefined;
  readonly k?: string | undefined;
  readonly alg?: string | undefined;
  readonly use?: string | undefined;
  readonly kid?: string | undefined;
}

/** Members that make a key private; `k` is a secret of its own. */
const PRIVATE_MEMBERS: ReadonlySet<string> = new Set(['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth']);

/** What may be published of a JWK, without `key_ops` and `ext`, which speak of the private half. */
export function publicMembers(jwk: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const kept = Object.entries(jwk).filter(
    ([name]) => !PRIVATE_MEMBERS.has(name) && name !== 'key_ops' && name !== 'ext',
  );
  return Object.fromEntries(kept);
}

/** Null when `value` is no JSON object. */
export function membersOf(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
}
