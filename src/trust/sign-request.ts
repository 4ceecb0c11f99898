/**
 * Signs a request as RFC 9421 with what the gateway asks for, by Node's own cryptography and without waiting; the SDK
 * does the same by WebCrypto. Pure: the caller brings clock and nonce.
 */
import type { SigningKey } from './keys/key.ts';
import { contentDigest } from './wire/content-digest.ts';
import { signMessage } from './wire/sign.ts';
import { usualCover } from './wire/usual-cover.ts';

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
  const components = [...usualCover(sent), ...(request.cover ?? [])];
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
