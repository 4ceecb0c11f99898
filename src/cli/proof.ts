/** Proves a captured request step by step, in the gateway's order, and says which step fails. */

import { didKeyResolver } from '../sdk/did.ts';
import { checkContentDigest } from '../sdk/digest.ts';
import { importPublicKey, type PublicKeyInput, type VerifyingKey } from '../sdk/public-key.ts';
import { latin1Text } from '../trust/wire/bytes.ts';
import { type RequestView, requestView } from '../trust/wire/message.ts';
import { checkMessageShape } from '../trust/wire/shape.ts';
import { type Signature, selectSignature } from '../trust/wire/signature-input.ts';
import { checkAlgorithmAgrees, checkCoverage, checkTime, signatureBase } from '../trust/wire/verify.ts';
import type { CapturedRequest } from './captured.ts';
import { CliError } from './errors.ts';

export interface Step {
  readonly name: 'message' | 'signature' | 'coverage' | 'time' | 'digest' | 'key' | 'verification';
  /** Null: not reached, or not asked for. */
  readonly ok: boolean | null;
  readonly code: string | null;
  readonly says: string;
}

export interface Proof {
  readonly ok: boolean;
  readonly steps: readonly Step[];
  /** The base that the signature is checked over, as far as it could be built. */
  readonly base: string | null;
  readonly keyId: string | null;
  readonly created: number | null;
}

export interface ProofOptions {
  /** How the server is called; a signature names the origin it was made for. */
  readonly origin: URL;
  /** The caller's public key; null: it is in the keyid (did:key, did:jwk). */
  readonly publicKey: PublicKeyInput | null;
  /** Seconds since the epoch; null: time is not checked. */
  readonly at: number | null;
  readonly maxAgeSeconds: number;
  readonly clockSkewSeconds: number;
}

interface Coded {
  readonly code: string;
  readonly message: string;
}

function isCoded(error: unknown): error is Error & Coded {
  return error instanceof Error && 'code' in error && typeof error.code === 'string';
}

/** The origin under which a captured request was made, from its Host field and a scheme. @throws {CliError} */
export function originOf({ target, headers }: CapturedRequest, given: string | undefined): URL {
  if (given !== undefined) {
    if (!URL.canParse(given) || !/^https?:/.test(given))
      throw new CliError('usage', `--origin: ${given} is no origin such as https://gateway.example`);
    return new URL(given);
  }
  if (/^https?:\/\//.test(target) && URL.canParse(target)) return new URL(new URL(target).origin);
  const [, host] = headers.find(([name]) => /^(?:host|:authority)$/i.test(name)) ?? [];
  if (host === undefined || !URL.canParse(`https://${host}`))
    throw new CliError('usage', 'the request names no host; say with --origin how the server was called');
  // Signed requests travel over TLS, but for those to one's own machine.
  const local = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::|$)/.test(host);
  return new URL(`${local ? 'http' : 'https'}://${host}`);
}

function viewOf({ method, target, headers }: CapturedRequest, origin: URL): RequestView {
  const absolute = /^https?:\/\//.test(target) ? new URL(target) : null;
  const fields = headers.flatMap(([name, value]) => [name.toLowerCase(), value]);
  return requestView({
    method,
    scheme: origin.protocol === 'https:' ? 'https' : 'http',
    authority: origin.host,
    target: absolute === null ? target : `${absolute.pathname}${absolute.search}`,
    rawHeaders: fields,
  });
}

async function keyFor(signature: Signature, publicKey: PublicKeyInput | null): Promise<VerifyingKey> {
  if (publicKey !== null) return importPublicKey(publicKey);
  const { keyid = '' } = signature.params;
  const found = await didKeyResolver()(keyid);
  if (found !== null) return found;
  throw new CliError('key_unusable', `the key of ${keyid} is not in its name; give it with --public-key`);
}

const NAMES: readonly Step['name'][] = [
  'message',
  'signature',
  'coverage',
  'time',
  'digest',
  'key',
  'verification',
];

/** Never throws for a request that does not hold: the steps say why. */
export async function proveCaptured(request: CapturedRequest, options: ProofOptions): Promise<Proof> {
  const steps: Step[] = [];
  const done = (name: Step['name'], says: string, ok: boolean | null = true): void => {
    steps.push({ name, ok, code: null, says });
  };
  let signature: Signature | null = null;
  let base: string | null = null;
  try {
    const view = viewOf(request, options.origin);
    checkMessageShape(view);
    done('message', `${request.method} ${request.target} at ${options.origin.origin}`);
    signature = selectSignature(view);
    if (signature === null)
      throw Object.assign(new Error('there is no signature'), { code: 'signature_required' });
    const { params, label } = signature;
    done('signature', `${label}, by ${params.keyid ?? 'nobody named'}`);
    const bytes = signatureBase(signature, view);
    base = latin1Text(bytes);
    checkCoverage(signature, view, { hasBody: request.body.length > 0 });
    done('coverage', [...signature.covered].join(' '));
    checkDate(signature, options, done);
    await checkBody(request, view, done);
    const key = await keyFor(signature, options.publicKey);
    checkAlgorithmAgrees(params, key.algorithm);
    done('key', `${key.algorithm}, thumbprint ${key.thumbprint}`);
    if (!(await key.verify(bytes, signature.signature)))
      throw Object.assign(new Error('it does not verify over the base shown'), { code: 'signature_invalid' });
    done('verification', 'the signature verifies over the base');
  } catch (error) {
    if (!isCoded(error)) throw error;
    const failed = NAMES[steps.length] ?? 'verification';
    steps.push({ name: failed, ok: false, code: error.code, says: error.message });
  }
  for (const name of NAMES.slice(steps.length))
    steps.push({ name, ok: null, code: null, says: 'not reached' });
  const { keyid = null, created = null } = signature?.params ?? {};
  return { ok: steps.every(({ ok }) => ok !== false), steps, base, keyId: keyid, created };
}

type Done = (name: Step['name'], says: string, ok?: boolean | null) => void;

/** Seconds since the epoch, in words; a stranger may have written more than a date can be. */
function instantOf(seconds: number): string {
  const ms = seconds * 1_000;
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : String(seconds);
}

function checkDate(
  { params }: Signature,
  { at, maxAgeSeconds, clockSkewSeconds }: ProofOptions,
  done: Done,
): void {
  const created = instantOf(params.created ?? 0);
  if (at === null) {
    done('time', `created ${created}; not checked`, null);
    return;
  }
  checkTime(params, at, { maxAgeSeconds, skewSeconds: clockSkewSeconds });
  done('time', `created ${created}, checked at ${instantOf(at)}`);
}

async function checkBody({ body }: CapturedRequest, view: RequestView, done: Done): Promise<void> {
  const digest = view.fields.value('content-digest');
  if (digest === undefined || digest === null || digest === '') {
    done('digest', 'no body, no digest', null);
    return;
  }
  await checkContentDigest(digest, Uint8Array.from(body));
  done('digest', `the body of ${body.length} bytes is what Content-Digest says`);
}
