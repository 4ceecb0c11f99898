/**
 * Signs a request as RFC 9421 with what the gateway asks for: method, target URI, and the body by its digest.
 * Pure: the caller brings clock and nonce.
 */
import type { SigningKey } from '../trust/keys/key.ts';
import { contentDigest } from '../trust/wire/content-digest.ts';
import { signMessage } from '../trust/wire/sign.ts';

export interface Signer {
  /** Absolute DID URL of the key, such as `did:key:z6Mk…#z6Mk…`. */
  readonly keyId: string;
  readonly key: SigningKey;
}

export interface RequestToSign {
  readonly method: string;
  readonly url: URL;
  /** Name, value pairs that are sent with the request. */
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: Uint8Array;
  /** Names of further fields to cover. */
  readonly cover?: readonly string[];
}

export interface SigningMoment {
  /** Seconds since the epoch. */
  readonly created: number;
  /** Unique for each request; 16 random bytes are enough. */
  readonly nonce: string;
  /** Seconds since the epoch, or absent for the verifier's own bound. */
  readonly expires?: number;
}

/** Fields that are covered whenever they are sent, because a change of them changes what the request means. */
const ALWAYS_COVERED = ['content-type', 'content-digest', 'authorization'] as const;

/**
 * Returns the request's headers with `content-digest`, `signature-input` and `signature` added.
 * @throws WireError when a covered field is missing or malformed.
 */
export function signRequest(
  request: RequestToSign,
  signer: Signer,
  moment: SigningMoment,
): [string, string][] {
  const headers: [string, string][] = (request.headers ?? []).map(([name, value]) => [
    name.toLowerCase(),
    value,
  ]);
  if (request.body !== undefined && request.body.length > 0)
    headers.push(['content-digest', contentDigest(request.body)]);
  const sent = new Set(headers.map(([name]) => name));
  const components = [
    '@method',
    '@target-uri',
    ...ALWAYS_COVERED.filter((name) => sent.has(name)),
    ...(request.cover ?? []),
  ];
  const { signatureInput, signature } = signMessage(
    {
      method: request.method,
      scheme: request.url.protocol.slice(0, -1),
      authority: request.url.host,
      target: request.url.pathname + request.url.search,
      rawHeaders: headers.flat(),
    },
    {
      label: 'sig1',
      components,
      params: {
        created: moment.created,
        ...(moment.expires === undefined ? {} : { expires: moment.expires }),
        nonce: moment.nonce,
        keyid: signer.keyId,
        alg: signer.key.algorithm,
      },
    },
    (base) => signer.key.sign(base),
  );
  headers.push(['signature-input', signatureInput], ['signature', signature]);
  return headers;
}
