/**
 * What goes wrong in the SDK, in two kinds. An `SdkError` is for the developer: a key, an option or a request of one's
 * own is at fault. A `RequestRefused` is for whoever called one's server: it has a status, and uses the gateway's codes.
 */
import { DID_ERRORS, type DidErrorCode } from '../trust/did/errors.ts';
import { KEY_ERRORS, type KeyError, type KeyErrorCode } from '../trust/keys/errors.ts';
import { WIRE_ERRORS, type WireError, type WireErrorCode } from '../trust/wire/errors.ts';

const OWN_FAULTS = {
  webcrypto_missing: 'this place has no crypto.subtle; browsers offer it over HTTPS and on localhost only',
  algorithm_unsupported:
    'the SDK signs with ed25519, ecdsa-p256-sha256, ecdsa-p384-sha384, rsa-pss-sha512 and hmac-sha256',
  algorithm_unavailable: 'the WebCrypto of this platform does not have the algorithm of this key',
  key_format_unsupported:
    'this PEM is in an older form; convert it: openssl pkcs8 -topk8 -nocrypt -in key.pem -out key.pkcs8.pem',
  key_encrypted: 'the key is encrypted; decrypt it first: openssl pkcs8 -in key.pem -out key.pkcs8.pem',
  key_not_private: 'a private key is needed to sign, and this is not one',
  key_halves_differ: 'the public and the private half of the key do not belong together',
  key_not_exportable: 'the CryptoKey is not extractable, so nothing can be derived from it',
  key_without_did: 'only Ed25519, P-256 and P-384 keys have a did:key, RSA keys a did:jwk, secrets none',
  keyid_missing: 'a keyId is needed: it cannot be derived from this key',
  keyid_invalid: 'keyId must be 1 to 512 printable ASCII characters',
  keyid_mismatch: 'keyId names another key than the private key that was given',
  request_unsignable: 'the request cannot be signed as it is',
  url_invalid: 'an absolute URL with http:, https:, ws: or wss: is needed',
  body_unsignable: 'the body is of a kind whose bytes cannot be known before it is sent',
  body_too_large_to_sign: 'the body is longer than maxBodyBytes, and it has to be held to be hashed',
  body_consumed: 'the body was read before it could be proven: put the middleware before every body parser',
  redirect_refused: 'the answer redirects to another origin, where the signature would be given away',
  redirect_unreadable: 'the answer is a redirect, and browsers do not show where it leads',
  redirects_too_many: 'the answers redirect in a circle, or further than five times',
  env_missing: 'a variable that is needed is not set',
  env_conflict: 'two variables say the same thing in two ways',
  env_invalid: 'a variable has a value that cannot be used',
  file_unreadable: 'the key file cannot be read',
  options_invalid: 'the options do not make sense',
} as const;

type OwnFaultCode = keyof typeof OWN_FAULTS;
export type SdkErrorCode = OwnFaultCode | KeyErrorCode;

/** Every code of an `SdkError` with what it means. */
export const SDK_ERRORS: Readonly<Record<SdkErrorCode, string>> = { ...KEY_ERRORS, ...OWN_FAULTS };

/** A key, an option or a request of one's own is at fault. Act on `code`; it is stable. */
export class SdkError extends Error {
  override readonly name = 'SdkError';
  readonly code: SdkErrorCode;

  /** `about` never holds a secret: it is a name, a number, or a public identifier. */
  constructor(code: SdkErrorCode, about?: string, cause?: unknown) {
    const text = SDK_ERRORS[code];
    super(about === undefined ? text : `${text}: ${about}`, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

export function sdkErrorOf(error: KeyError): SdkError {
  return new SdkError(error.code, undefined, error.cause);
}

type Row = readonly [status: number, title: string, detail: string, retryable: boolean];

const UNPROVEN = 'The signature of this request could not be accepted.';

const OWN_REFUSALS = {
  signature_required: [
    401,
    'A signature is required',
    'Sign the request by RFC 9421 with a key this server knows.',
    false,
  ],
  signature_invalid: [401, 'The signature does not verify', UNPROVEN, false],
  signature_predates_start: [
    401,
    'The signature is older than this server',
    'This server has just started and cannot know whether the signature was used; sign the request anew.',
    true,
  ],
  nonce_replayed: [401, 'The request was already used', 'Sign the request anew with a fresh nonce.', true],
  nonce_store_full: [503, 'Too many requests to remember', 'Try again shortly, with a new signature.', true],
  nonce_store_unavailable: [
    503,
    'Replays cannot be ruled out now',
    'Try again shortly, with a new signature.',
    true,
  ],
  body_too_large: [413, 'The body is too large', 'Send a smaller body.', false],
  body_timeout: [408, 'The body arrived too slowly', 'Send the request again, with a new signature.', true],
  body_aborted: [400, 'The body ended early', 'Send the request again, with a new signature.', true],
  body_memory_exhausted: [
    503,
    'Too many bodies are held at once',
    'Try again shortly, with a new signature.',
    true,
  ],
  authority_unknown: [421, 'This server is not that origin', 'Use an origin the server publishes.', false],
} as const satisfies Record<string, Row>;

export type RefusalCode = keyof typeof OWN_REFUSALS | WireErrorCode | DidErrorCode;

interface RefusalKind {
  readonly status: number;
  readonly code: RefusalCode;
  readonly title: string;
  readonly detail: string;
  readonly retryable: boolean;
}

/** A new signature made at a better moment may be accepted. */
const RETRYABLE_WIRE: ReadonlySet<string> = new Set([
  'created_in_future',
  'signature_too_old',
  'signature_expired',
]);

function readKinds(): Readonly<Record<RefusalCode, RefusalKind>> {
  const kinds: Partial<Record<RefusalCode, RefusalKind>> = {};
  const add = (code: RefusalCode, [status, title, detail, retryable]: Row): void => {
    kinds[code] = Object.freeze({ status, code, title, detail, retryable });
  };
  for (const code of namesOf(WIRE_ERRORS)) {
    const [kind, text] = WIRE_ERRORS[code];
    const title = `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
    add(code, [kind === 'malformed' ? 400 : 401, title, UNPROVEN, RETRYABLE_WIRE.has(code)]);
  }
  for (const code of namesOf(DID_ERRORS)) add(code, DID_ERRORS[code]);
  for (const code of namesOf(OWN_REFUSALS)) add(code, OWN_REFUSALS[code]);
  return Object.freeze(kinds as Record<RefusalCode, RefusalKind>);
}

function namesOf<Name extends string>(table: Readonly<Record<Name, unknown>>): Name[] {
  return Object.keys(table) as Name[];
}

/** Every code a verifier refuses with: its status, and whether a request signed anew may pass. */
export const REFUSALS: Readonly<Record<RefusalCode, RefusalKind>> = /* @__PURE__ */ readKinds();

/** A refusal as `application/problem+json` (RFC 9457), in the words of the gateway. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly retryable: boolean;
  readonly explanation?: string;
  readonly component?: string;
  /** What should have been signed; it repeats covered fields, `authorization` among them. */
  readonly signature_base?: string;
}

/**
 * The request was not proven. `message` says exactly what failed and is for the log; `problem()` is what the caller may
 * read. It carries no stack: a stranger can cause it as often as he likes.
 */
export class RequestRefused extends Error {
  override readonly name = 'RequestRefused';
  readonly code: RefusalCode;
  /** HTTP status to answer with. */
  readonly status: number;
  /** Whether the same request, signed anew, may succeed later. */
  readonly retryable: boolean;
  /** The component, field or parameter it is about, where there is one. */
  readonly component: string | undefined;
  /** Private, so that no log of the error repeats what the caller sent. */
  readonly #signatureBase: string | undefined;

  constructor(
    code: RefusalCode,
    explanation?: string,
    more: { component?: string; signatureBase?: string; cause?: unknown } = {},
  ) {
    const kind = REFUSALS[code];
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(explanation ?? kind.title, more.cause === undefined ? undefined : { cause: more.cause });
    Error.stackTraceLimit = limit;
    this.code = code;
    this.status = kind.status;
    this.retryable = kind.retryable;
    this.component = more.component;
    this.#signatureBase = more.signatureBase;
  }

  /** @param explain adds what exactly failed, which helps a caller and an attacker alike */
  problem(explain = false): Problem {
    const { title, detail } = REFUSALS[this.code];
    const { code, status, retryable, component } = this;
    const base = this.#signatureBase;
    const evidence = {
      ...(component === undefined ? {} : { component }),
      ...(base === undefined ? {} : { signature_base: base }),
    };
    return {
      type: `urn:sage:problem:${code}`,
      title,
      status,
      code,
      detail,
      retryable,
      ...(explain ? { explanation: this.message, ...evidence } : {}),
    };
  }
}

export function refusedByWire(error: WireError): RequestRefused {
  const { component } = error;
  return new RequestRefused(error.code, error.message, component === undefined ? {} : { component });
}
