/**
 * Verifies requests in one's own server by the gateway's rules and in its order: what costs nothing comes first, the
 * signature before the body, the body's digest before the nonce, and the nonce last, because whoever could store nonces
 * before verification could lock a caller out (RFC 9421, section 7.2.2).
 */
import { DidError } from '../trust/did/errors.ts';
import { latin1Text } from '../trust/wire/bytes.ts';
import { componentList, plainIdentifier } from '../trust/wire/components.ts';
import { WireError } from '../trust/wire/errors.ts';
import type { RequestView } from '../trust/wire/message.ts';
import { checkMessageShape } from '../trust/wire/shape.ts';
import { type Signature, selectSignature } from '../trust/wire/signature-input.ts';
import {
  acceptableUntil,
  checkAlgorithmAgrees,
  checkAlgorithmSupported,
  checkCoverage,
  checkTime,
  signatureBase,
} from '../trust/wire/verify.ts';
import { ALGORITHMS, type Algorithm, algorithmNamed } from './algorithms.ts';
import type { BodyBounds, BodyBudget } from './body.ts';
import type { KeyResolver } from './did.ts';
import { checkContentDigest } from './digest.ts';
import { RequestRefused, refusedByWire, SdkError } from './errors.ts';
import {
  type Incoming,
  incomingOf,
  type Origin,
  type ReceivedRequest,
  readOrigins,
  viewOf,
} from './incoming.ts';
import { createNonceMemory, type NonceOutcome, type NonceStore } from './nonces.ts';
import { importPublicKey, type PublicKeyInput, type VerifyingKey } from './public-key.ts';

/** Who called, as proven. That they may do what they ask is for you to decide. */
export interface VerifiedCaller {
  /** The DID of the key; null when the keyId is a name of your own. */
  readonly did: string | null;
  readonly keyId: string;
  readonly algorithm: Algorithm;
  /** RFC 7638 thumbprint of the key. */
  readonly keyThumbprint: string;
  /** What the signature covers, as identifiers such as `"content-type"`: nothing else of the request is proven. */
  readonly covered: ReadonlySet<string>;
  /** Seconds since the epoch. */
  readonly created: number;
}

export interface Verified {
  readonly caller: VerifiedCaller;
  /** The proven body; null when there is none. It has been read: use these bytes, not the stream. */
  readonly body: Uint8Array<ArrayBuffer> | null;
}

export interface VerifierOptions {
  /**
   * How this server is called, such as `https://api.example`; behind a proxy that ends TLS too. Never taken from the
   * request, or a request signed for another server would be good here. A function, when the port is known later only.
   */
  readonly origins: string | readonly string[] | (() => string | readonly string[]);
  /** Public keys by the keyId that callers name. */
  readonly keys?: Readonly<Record<string, PublicKeyInput>>;
  /** Asked for what `keys` does not have: `didKeyResolver()`, or one of your own. Null: unknown. */
  readonly resolveKey?:
    | KeyResolver
    | ((keyId: string) => Promise<PublicKeyInput | null> | PublicKeyInput | null);
  /** What a signature must cover besides method, target and body, such as `x-tenant`; then it must be sent, too. */
  readonly cover?: readonly string[];
  /** All that the SDK has, when left out. */
  readonly algorithms?: readonly Algorithm[];
  /** How long after `created` a signature counts: 60 when left out. */
  readonly maxAgeSeconds?: number;
  /** How far a caller's clock may be from this one: 5 when left out. */
  readonly clockSkewSeconds?: number;
  /** In the memory of this process when left out; several processes must share one. */
  readonly nonces?: NonceStore;
  /** 1 MiB when left out: a body is held until its digest is proven. */
  readonly maxBodyBytes?: number;
  /** Of all bodies that are being read, together: 64 MiB when left out. */
  readonly totalBodyBytes?: number;
  /** For the whole body, in milliseconds: 30,000 when left out. */
  readonly bodyTimeoutMs?: number;
  /** Only signatures with this tag count; when left out, only those without one. */
  readonly tag?: string;
  /** Milliseconds since the epoch; `Date.now` when left out. */
  readonly now?: () => number;
}

export interface Verifier {
  /** @throws {RequestRefused} when the request is not proven @throws {SdkError} when this server is at fault */
  verify(request: Request | ReceivedRequest): Promise<Verified>;
  /** Resolves once `keys` have been imported. @throws {SdkError} when one of them cannot be */
  ready(): Promise<void>;
}

/** What the middleware needs beside it. */
export interface InnerVerifier extends Verifier {
  verifyIncoming(incoming: Incoming): Promise<Verified>;
}

const MAX_BODY_BYTES = 1024 * 1024;
const TOTAL_BODY_BYTES = 64 * 1024 * 1024;
const BODY_TIMEOUT_MS = 30_000;
const CLOCK_SKEW_SECONDS = 5;
const MAX_AGE_SECONDS = 60;
/** A base in a problem document; a longer one helps nobody. */
const SHOWN_BASE_LENGTH_MAX = 2_048;

/** Shared by every verifier that has none of its own, so that a request accepted by one is used up for all. */
const PROCESS_NONCES = /* @__PURE__ */ createNonceMemory();

interface Settings {
  readonly origins: () => ReadonlyMap<string, Origin>;
  readonly key: (keyId: string) => Promise<VerifyingKey>;
  readonly ready: Promise<unknown>;
  readonly cover: readonly string[];
  readonly algorithms: ReadonlySet<string>;
  readonly time: { readonly maxAgeSeconds: number; readonly skewSeconds: number };
  readonly nonces: NonceStore;
  readonly body: BodyBounds;
  readonly tag: string | undefined;
  readonly now: () => number;
}

/**
 * A verifier for many requests; its keys are imported once.
 * @throws {SdkError} options_invalid, algorithm_unsupported
 */
export function createVerifier(options: VerifierOptions): Verifier {
  return createInnerVerifier(options);
}

export function createInnerVerifier(options: VerifierOptions): InnerVerifier {
  const settings = readOptions(options);
  const verifyIncoming = (incoming: Incoming): Promise<Verified> => prove(incoming, settings);
  return {
    verifyIncoming,
    verify: async (request) => verifyIncoming(incomingOf(request)),
    ready: async () => void (await settings.ready),
  };
}

const verifiers = /* @__PURE__ */ new WeakMap<object, Verifier>();

/**
 * Verifies one request. It throws where it cannot prove, so that a check that is forgotten lets nobody in. Made for many
 * requests: pass the same options object each time, and its keys are imported once, its bodies bounded together.
 * @throws {RequestRefused} when the request is not proven
 * @throws {SdkError} options_invalid, key_*, body_consumed: this server is at fault
 */
export function verifyRequest(
  request: Request | ReceivedRequest,
  options: VerifierOptions,
): Promise<Verified> {
  let verifier = verifiers.get(options);
  if (verifier === undefined) {
    verifier = createVerifier(options);
    verifiers.set(options, verifier);
  }
  return verifier.verify(request);
}

function readOptions(options: VerifierOptions): Settings {
  const { keys, resolveKey, nonces = PROCESS_NONCES, now = Date.now, tag } = options;
  if (keys === undefined && resolveKey === undefined)
    throw new SdkError('options_invalid', 'give keys, resolveKey or both: nobody could be verified');
  const imported = importAll(keys ?? {});
  const budget: BodyBudget = {
    totalBytes: positive(options, 'totalBodyBytes', TOTAL_BODY_BYTES),
    heldBytes: 0,
  };
  return {
    origins: originsOf(options.origins),
    key: (keyId) => findKey(keyId, imported, resolveKey),
    ready: Promise.all(imported.values()),
    cover: (options.cover ?? []).map(identifierOf),
    algorithms: new Set(options.algorithms?.map(algorithmNamed) ?? ALGORITHMS),
    time: {
      maxAgeSeconds: positive(options, 'maxAgeSeconds', MAX_AGE_SECONDS),
      skewSeconds: positive(options, 'clockSkewSeconds', CLOCK_SKEW_SECONDS),
    },
    nonces,
    body: {
      maxBytes: positive(options, 'maxBodyBytes', MAX_BODY_BYTES),
      timeoutMs: positive(options, 'bodyTimeoutMs', BODY_TIMEOUT_MS),
      budget,
    },
    tag,
    now,
  };
}

/** As it stands in a signature; a name in upper case would be covered by nobody. @throws {SdkError} options_invalid */
function identifierOf(component: string): string {
  const written = component.startsWith('"') ? component : plainIdentifier(component.toLowerCase());
  try {
    const [identifier] = componentList(`(${written})`).covered;
    if (identifier !== undefined) return identifier;
  } catch (error) {
    throw new SdkError('options_invalid', `cover: ${component}`, error);
  }
  throw new SdkError('options_invalid', 'cover: an empty name');
}

/** A bound that is not a number would bound nothing. @throws {SdkError} options_invalid */
function positive(
  options: VerifierOptions,
  name: 'maxAgeSeconds' | 'clockSkewSeconds' | 'maxBodyBytes' | 'totalBodyBytes' | 'bodyTimeoutMs',
  usual: number,
): number {
  const value = options[name] ?? usual;
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new SdkError('options_invalid', `${name}: a whole number, not negative`);
}

function originsOf(origins: VerifierOptions['origins']): Settings['origins'] {
  if (origins === undefined)
    throw new SdkError('options_invalid', 'origins: say how this server is called, as https://api.example');
  if (typeof origins === 'function') {
    let read: ReadonlyMap<string, Origin> | null = null;
    return () => (read ??= readOrigins(origins()));
  }
  const read = readOrigins(origins);
  return () => read;
}

function importAll(
  keys: Readonly<Record<string, PublicKeyInput>>,
): ReadonlyMap<string, Promise<VerifyingKey>> {
  const imported = new Map<string, Promise<VerifyingKey>>();
  for (const [keyId, input] of Object.entries(keys)) {
    const key = importPublicKey(input);
    // Told to whoever waits for it, and to every request that names it.
    key.catch(() => undefined);
    imported.set(keyId, key);
  }
  return imported;
}

async function findKey(
  keyId: string,
  imported: ReadonlyMap<string, Promise<VerifyingKey>>,
  resolveKey: VerifierOptions['resolveKey'],
): Promise<VerifyingKey> {
  const own = imported.get(keyId);
  if (own !== undefined) return own;
  let found: PublicKeyInput | null | undefined;
  try {
    found = await resolveKey?.(keyId);
    if (found !== null && found !== undefined) return await importPublicKey(found);
  } catch (error) {
    if (error instanceof RequestRefused) throw error;
    if (error instanceof DidError)
      throw new RequestRefused(error.code, error.message, { cause: error.cause });
    // Says nothing about the key, and must let nobody in.
    throw new RequestRefused('did_unresolvable', `the key ${keyId} could not be looked up`, { cause: error });
  }
  throw new RequestRefused('key_unknown', `no key is known by the name ${keyId}`);
}

/** Steps that read only what the caller sent. */
async function readClaim(
  incoming: Incoming,
  view: RequestView,
  settings: Settings,
): Promise<{ signature: Signature; hasBody: boolean }> {
  checkMessageShape(view);
  const signature = selectSignature(view, { tag: settings.tag });
  if (signature === null) throw new RequestRefused('signature_required');
  const { created = 0 } = signature.params;
  checkTime(signature.params, settings.now() / 1_000, settings.time);
  checkCoverage(signature, view, { hasBody: false });
  for (const identifier of settings.cover) mustCover(signature, identifier);
  checkAlgorithmSupported(signature.params, settings.algorithms);
  // An earlier process may have accepted it as early as the skew before its date.
  if ((created - settings.time.skewSeconds) * 1_000 < settings.nonces.remembersSinceMs)
    throw new RequestRefused('signature_predates_start');
  const hasBody = await incoming.hasBody(settings.body);
  if (hasBody) mustCover(signature, '"content-digest"');
  return { signature, hasBody };
}

function mustCover({ covered }: Signature, identifier: string): void {
  if (!covered.has(identifier)) throw new WireError('coverage_insufficient', identifier);
}

async function verifySignature(
  view: RequestView,
  signature: Signature,
  settings: Settings,
): Promise<VerifiedCaller> {
  const { keyid: keyId = '', created = 0 } = signature.params;
  const key = await settings.key(keyId);
  const { algorithm, thumbprint } = key;
  if (!settings.algorithms.has(algorithm)) throw new WireError('algorithm_unsupported', algorithm);
  checkAlgorithmAgrees(signature.params, algorithm);
  const base = signatureBase(signature, view);
  if ((await key.verify(base, signature.signature)) !== true) {
    const shown = latin1Text(base.subarray(0, SHOWN_BASE_LENGTH_MAX));
    const explanation = `it does not verify over the base that was expected for ${view.method} ${view.target}`;
    throw new RequestRefused('signature_invalid', explanation, { signatureBase: shown });
  }
  const did = keyId.startsWith('did:') ? (keyId.split('#', 1)[0] ?? keyId) : null;
  return { did, keyId, algorithm, keyThumbprint: thumbprint, covered: signature.covered, created };
}

async function proveBody(
  incoming: Incoming,
  view: RequestView,
  signature: Signature,
  hasBody: boolean,
  settings: Settings,
): Promise<Verified['body']> {
  const digest = view.fields.value('content-digest') ?? '';
  if (!hasBody) {
    if (signature.covered.has('"content-digest"')) await checkContentDigest(digest, new Uint8Array(0));
    return null;
  }
  const declared = Number(view.fields.value('content-length') ?? 0);
  if (declared > settings.body.maxBytes)
    throw new RequestRefused('body_too_large', `more than ${settings.body.maxBytes} bytes`);
  const body = await incoming.read(settings.body);
  await checkContentDigest(digest, body);
  // It may have taken longer than the signature is valid, and a nonce reserved until then guards nothing.
  checkTime(signature.params, settings.now() / 1_000, settings.time);
  return body;
}

async function reserveNonce(signature: Signature, settings: Settings): Promise<void> {
  const { keyid: keyId = '', nonce = '' } = signature.params;
  const expiresAtMs = acceptableUntil(signature.params, settings.time) * 1_000;
  let outcome: NonceOutcome;
  try {
    outcome = await settings.nonces.reserve({ keyId, nonce, expiresAtMs, nowMs: settings.now() });
  } catch (error) {
    throw new RequestRefused('nonce_store_unavailable', undefined, { cause: error });
  }
  if (outcome === 'reserved') return;
  if (outcome === 'replayed') throw new RequestRefused('nonce_replayed');
  throw new RequestRefused(outcome === 'full' ? 'nonce_store_full' : 'nonce_store_unavailable');
}

async function prove(incoming: Incoming, settings: Settings): Promise<Verified> {
  try {
    const view = viewOf(incoming, settings.origins());
    const { signature, hasBody } = await readClaim(incoming, view, settings);
    const caller = await verifySignature(view, signature, settings);
    const body = await proveBody(incoming, view, signature, hasBody, settings);
    await reserveNonce(signature, settings);
    return { caller, body };
  } catch (error) {
    throw error instanceof WireError ? refusedByWire(error) : error;
  }
}
