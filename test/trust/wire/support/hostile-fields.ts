/** Up to 16 KB of signature fields, shaped to make somebody work; for the tests of the wire, the torture and the bench. */
import { WireError } from '../../../../src/trust/wire/errors.ts';
import { type RequestParts, requestView } from '../../../../src/trust/wire/message.ts';
import { checkMessageShape } from '../../../../src/trust/wire/shape.ts';
import {
  SIGNATURE_INPUT_LENGTH_MAX,
  SIGNATURE_LENGTH_MAX,
  selectSignature,
} from '../../../../src/trust/wire/signature-input.ts';
import { checkCoverage, checkTime, signatureBase } from '../../../../src/trust/wire/verify.ts';
import { GET, NOW } from './messages.ts';

export const PARAMS = `;created=${NOW};nonce="n";keyid="k"`;
export const SIGNATURE = 'sig1=:AAAA:';
export const numbered = (count: number, one: (index: number) => string, between = ' '): string =>
  Array.from({ length: count }, (_, index) => one(index)).join(between);
const message = (input: string, signature = SIGNATURE, ...others: string[]): RequestParts => ({
  ...GET,
  rawHeaders: [...GET.rawHeaders, ...others, 'Signature-Input', input, 'Signature', signature],
});
/** As close to the bound as repeating gets. */
const filled = (piece: string, length = SIGNATURE_INPUT_LENGTH_MAX - 200): string =>
  piece.repeat(Math.floor(length / piece.length));
const DICTIONARY = numbered(1200, (index) => `k${index}=${index}`, ', ');

/** By what makes it hard. */
export const CORPUS: Record<string, RequestParts> = {
  'sixteen kilobytes of input': message(`sig1=("@method"${' '.repeat(16_000)})${PARAMS}`),
  'sixteen kilobytes of signature': message(`sig1=("@method")${PARAMS}`, `sig1=:${'A'.repeat(16_000)}:`),
  'five hundred labels': message(numbered(500, (index) => `s${index}=()`, ', ')),
  'a list of spaces': message(`sig1=(${' '.repeat(7900)})${PARAMS}`),
  'an open list': message(`sig1=(${filled('"a" ')}`, filled('sig1=:A')),
  'an open string': message(`sig1=("${filled('a')}`),
  'many escapes': message(`sig1=("@method");nonce="${filled('\\"')}"${PARAMS}`),
  'one component a thousand times': message(`sig1=(${filled('"a" ')})${PARAMS}`),
  'distinct components': message(`sig1=(${numbered(700, (index) => `"x${index}"`)})${PARAMS}`),
  'many component parameters': message(`sig1=("a"${filled(';a')})${PARAMS}`),
  'many distinct component parameters': message(
    `sig1=("a"${numbered(1000, (index) => `;p${index}`, '')})${PARAMS}`,
  ),
  'many signature parameters': message(
    `sig1=("@method")${numbered(1000, (index) => `;p${index}`, '')}${PARAMS}`,
  ),
  'a repeated parameter': message(`sig1=("@method")${filled(';x')}${PARAMS}`),
  'four broken members': message(numbered(4, (index) => `s${index}=("${'a'.repeat(1900)}`, ', ')),
  'many commas': message(filled(',')),
  'a long signature that is not base64': message(
    `sig1=("@method")${PARAMS}`,
    `sig1=:${'!'.repeat(SIGNATURE_LENGTH_MAX - 10)}:`,
  ),
  'many lines of a covered field': message(
    `sig1=("@method" "@target-uri" "x-l")${PARAMS}`,
    SIGNATURE,
    ...Array.from({ length: 230 }, () => ['X-L', 'v']).flat(),
  ),
  'more lines than are read': message(
    `sig1=("x-l")${PARAMS}`,
    SIGNATURE,
    ...Array.from({ length: 2000 }, () => 'x'),
  ),
};

/** Eight kilobytes of another field, of which thirty members are covered one by one. */
export const LARGE_DICTIONARY = message(
  `sig1=("@method" "@target-uri" ${numbered(30, (index) => `"x-d";key="k${index}"`)})${PARAMS}`,
  SIGNATURE,
  'X-D',
  DICTIONARY.slice(0, 8000).replace(/,[^,]*$/, ''),
);

/** What a verifier does before it asks for a key, refusals included. */
export function read(parts: RequestParts): void {
  try {
    const view = requestView(parts);
    checkMessageShape(view);
    const signature = selectSignature(view);
    if (signature === null) return;
    checkTime(signature.params, NOW);
    checkCoverage(signature, view, { hasBody: false });
    signatureBase(signature, view);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
}
