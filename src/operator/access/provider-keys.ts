/**
 * The signing keys of an OpenID Connect provider: its discovery document (OpenID Connect Discovery 1.0, section 4) names
 * where they are. Read when a token first needs them, kept while they are fresh, and for a while longer when the provider
 * cannot be reached; then tokens are refused.
 */
import type { FlattenedJWSInput, JSONWebKeySet, JWSHeaderParameters } from 'jose';

/** Between two readings: providers publish a new key well before they sign with it. */
const FRESH_MS = 600_000;
/** How long keys serve when they cannot be read again: a withdrawn key is believed at most this long. */
const STALE_MAX_MS = 3_600_000;
/** Between two readings for the sake of an unknown key id, or after a failure: a stranger can name any id. */
const COOLDOWN_MS = 30_000;
const TIMEOUT_MS = 3_000;
/** A key set has a few KiB, a discovery document some ten. */
const DOCUMENT_BYTES_MAX = 262_144;
const KEYS_MAX = 100;
const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

/** The keys cannot be had now; the message is for the log. */
export class ProviderUnavailable extends Error {
  constructor(why: string) {
    super(why);
    this.name = 'ProviderUnavailable';
  }
}

type FindKey = (header: JWSHeaderParameters, token: FlattenedJWSInput) => Promise<CryptoKey>;

export interface ProviderKeys {
  /** @throws ProviderUnavailable, and jose's JWKSNoMatchingKey for a key that the provider has not */
  find: FindKey;
}

function checkUrl(text: unknown): URL {
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : null;
  const safe = url?.protocol === 'https:' || (url?.protocol === 'http:' && LOOPBACK.has(url.hostname));
  if (url === null || !safe)
    throw new ProviderUnavailable('the provider names no https address for its keys');
  return url;
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > DOCUMENT_BYTES_MAX) throw new ProviderUnavailable('the provider answered with too much');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** No redirect is followed: whoever answers for another name is somebody else. @throws ProviderUnavailable */
async function fetchJson(url: URL): Promise<Readonly<Record<string, unknown>>> {
  try {
    const response = await fetch(url, {
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: { accept: 'application/json' },
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new ProviderUnavailable(`the provider answered ${response.status}`);
    }
    const value: unknown = JSON.parse(await readBounded(response));
    if (typeof value === 'object' && value !== null) return { ...value };
    throw new ProviderUnavailable('the provider answered with no object');
  } catch (error) {
    if (error instanceof ProviderUnavailable) throw error;
    const { message, cause } = error as Error;
    throw new ProviderUnavailable(`${message}${cause instanceof Error ? `: ${cause.message}` : ''}`);
  }
}

function readKeySet(document: Readonly<Record<string, unknown>>): JSONWebKeySet {
  const { keys } = document;
  if (!Array.isArray(keys) || keys.length > KEYS_MAX)
    throw new ProviderUnavailable('the provider answered with no usable key set');
  return { keys };
}

/** @throws ProviderUnavailable */
async function readProvider(issuer: string): Promise<JSONWebKeySet> {
  // Section 4.1: appended to the issuer, whose terminating slash is removed.
  const discovery = await fetchJson(
    checkUrl(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`),
  );
  // Section 4.3: it must be the issuer that was asked, to the letter.
  if (discovery.issuer !== issuer)
    throw new ProviderUnavailable('the discovery document belongs to another issuer');
  return readKeySet(await fetchJson(checkUrl(discovery.jwks_uri)));
}

/** @param now milliseconds since the epoch @param onFault hears why a reading failed */
export function providerKeys(
  issuer: string,
  now: () => number,
  onFault: (error: ProviderUnavailable) => void,
): ProviderKeys {
  let known: { readonly find: FindKey; readonly readAtMs: number } | null = null;
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let failure: ProviderUnavailable | null = null;
  let reading: Promise<void> | null = null;

  const read = async (): Promise<void> => {
    const startedAtMs = now();
    try {
      const keys = await readProvider(issuer);
      const { createLocalJWKSet } = await import('jose');
      known = { find: createLocalJWKSet(keys), readAtMs: startedAtMs };
      failure = null;
    } catch (error) {
      failure = error instanceof ProviderUnavailable ? error : new ProviderUnavailable(String(error));
      onFault(failure);
    } finally {
      triedAtMs = now();
      reading = null;
    }
  };
  /** One reading at a time, and none within the cooldown. */
  const refresh = async (): Promise<void> => {
    if (reading === null && now() - triedAtMs < COOLDOWN_MS) return;
    reading ??= read();
    await reading;
  };
  const current = (): FindKey => {
    if (known !== null && now() - known.readAtMs < STALE_MAX_MS) return known.find;
    throw failure ?? new ProviderUnavailable('the keys have not been read');
  };

  return {
    async find(header, token) {
      if (known === null || now() - known.readAtMs >= FRESH_MS) await refresh();
      const before = current();
      try {
        return await before(header, token);
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'ERR_JWKS_NO_MATCHING_KEY') throw error;
        await refresh();
        const after = current();
        if (after === before) throw error;
        return after(header, token);
      }
    },
  };
}
