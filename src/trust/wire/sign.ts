/** Signing (RFC 9421, section 3.1). What is written here is checked by the same code that verifies. */
import { type Bytes, encodeBase64 } from './bytes.ts';
import { COMPONENTS_MAX, componentList, plainIdentifier } from './components.ts';
import { WireError } from './errors.ts';
import type { MessageView, RequestParts, ResponseParts } from './message.ts';
import { messageView } from './message.ts';
import { serialiseKey, serialiseParameters } from './serialise.ts';
import type { SignatureParams } from './signature-input.ts';
import type { BareItem } from './structured-fields.ts';
import { baseOf } from './verify.ts';

/** A view, or the parts of one. */
export type Signable = MessageView | RequestParts | ResponseParts;

export interface SignatureRequest {
  readonly label: string;
  /** Field names and derived names (`@method`), or identifiers with parameters (`"@query-param";name="id"`). */
  readonly components: readonly string[];
  readonly params: { readonly created: number; readonly keyid: string } & Partial<SignatureParams>;
}

/** The values of the two fields; each is a Dictionary of one member, to be appended to what is there. */
export interface SignatureFields {
  readonly signatureInput: string;
  readonly signature: string;
}

export interface PreparedSignature {
  /** What the key signs. */
  readonly base: Bytes;
  finish(signature: Uint8Array): SignatureFields;
}

/** The order in which we write parameters; any would do. */
const PARAMETERS = ['created', 'expires', 'nonce', 'keyid', 'alg', 'tag'] as const;

/**
 * For signers that answer later.
 * @throws {WireError} when a component is not valid or not in the message, or a parameter cannot be written
 */
export function prepareSignature(message: Signable, request: SignatureRequest): PreparedSignature {
  const label = serialiseKey(request.label);
  if (request.components.length > COMPONENTS_MAX) throw new WireError('too_many_components');
  const identifiers = request.components.map((one) => (one.startsWith('"') ? one : plainIdentifier(one)));
  const list = componentList(`(${identifiers.join(' ')})`);
  const params = new Map<string, BareItem>();
  for (const name of PARAMETERS) {
    const value = request.params[name];
    if (value !== undefined) params.set(name, value);
  }
  const paramsLine = list.text + serialiseParameters(params);
  return {
    base: baseOf(list.components, paramsLine, messageView(message)),
    finish: (signature) => ({
      signatureInput: `${label}=${paramsLine}`,
      signature: `${label}=:${encodeBase64(signature)}:`,
    }),
  };
}

/** @throws {WireError} as `prepareSignature` does */
export function signMessage(
  message: Signable,
  request: SignatureRequest,
  sign: (base: Uint8Array) => Uint8Array,
): SignatureFields {
  const prepared = prepareSignature(message, request);
  return prepared.finish(sign(prepared.base));
}
