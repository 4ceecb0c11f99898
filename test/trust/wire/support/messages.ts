import { importJwk } from '../../../../src/trust/keys/import.ts';
import { generateSigningKey } from '../../../../src/trust/keys/signing.ts';
import { WireError, type WireErrorCode } from '../../../../src/trust/wire/errors.ts';
import { type RequestParts, type RequestView, requestView } from '../../../../src/trust/wire/message.ts';
import { checkMessageShape } from '../../../../src/trust/wire/shape.ts';
import { signMessage } from '../../../../src/trust/wire/sign.ts';
import {
  type Signature,
  type SignatureParams,
  selectSignature,
} from '../../../../src/trust/wire/signature-input.ts';
import { checkCoverage, checkTime, signatureBase } from '../../../../src/trust/wire/verify.ts';

export const NOW = 1_700_000_000;
const generated = generateSigningKey('ed25519');
const signingKey = generated.signing;
export const verificationKey = importJwk({ ...generated.publicJwk });

export const GET: RequestParts = {
  method: 'GET',
  scheme: 'https',
  authority: 'gateway.example',
  target: '/agents/weather/today?city=Bern&unit=c',
  rawHeaders: ['Host', 'gateway.example', 'Accept', 'application/json'],
};
const COMPONENTS = ['@method', '@authority', '@path', '@query'];
export const PARAMS = { created: NOW, nonce: 'b3k2pp5k7z', keyid: 'did:key:zTest#zTest' };

export interface SignOptions {
  readonly label?: string;
  readonly components?: readonly string[];
  readonly params?: Partial<SignatureParams & { created: number; keyid: string }>;
}

/** `parts` with the two signature fields added behind its own. */
export function signed(parts: RequestParts = GET, options: SignOptions = {}): RequestParts {
  const fields = signMessage(
    parts,
    {
      label: options.label ?? 'sig1',
      components: options.components ?? COMPONENTS,
      params: { ...PARAMS, ...options.params },
    },
    (base) => signingKey.sign(base),
  );
  return {
    ...parts,
    rawHeaders: [
      ...parts.rawHeaders,
      'Signature-Input',
      fields.signatureInput,
      'Signature',
      fields.signature,
    ],
  };
}

/** Adds both fields with a Signature-Input written by hand, signed over nothing that matters. */
export function withInput(
  input: string,
  parts: RequestParts = GET,
  labels: readonly string[] = ['sig1'],
): RequestView {
  const signature = labels.map((label) => `${label}=:${Buffer.alloc(64, 1).toString('base64')}:`).join(', ');
  return requestView({
    ...parts,
    rawHeaders: [...parts.rawHeaders, 'Signature-Input', input, 'Signature', signature],
  });
}

/** What a verifier does, in its order. @returns the signature that was proven */
export function verify(
  parts: RequestParts,
  options: { hasBody?: boolean; now?: number; tag?: string } = {},
): Signature {
  const view = requestView(parts);
  checkMessageShape(view);
  const signature = selectSignature(view, { tag: options.tag });
  if (signature === null) throw new Error('unsigned');
  checkTime(signature.params, options.now ?? NOW + 1);
  checkCoverage(signature, view, { hasBody: options.hasBody ?? false });
  if (!verificationKey.verify(signatureBase(signature, view), signature.signature))
    throw new Error('does not verify');
  return signature;
}

/** The code of the WireError that `run` throws; anything else fails the test. */
export function codeOf(run: () => unknown): WireErrorCode {
  try {
    run();
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  throw new Error('nothing was thrown');
}
