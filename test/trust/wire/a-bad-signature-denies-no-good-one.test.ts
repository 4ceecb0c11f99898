import { describe, expect, test } from 'vitest';
import type { RequestParts } from '../../../src/trust/wire/message.ts';
import { requestView } from '../../../src/trust/wire/message.ts';
import { selectSignature } from '../../../src/trust/wire/signature-input.ts';
import { codeOf, GET, signed, verify, withInput } from './support/messages.ts';

const good = signed();
const at = (name: string): number => good.rawHeaders.indexOf(name) + 1;
const INPUT = good.rawHeaders[at('Signature-Input')] ?? '';
const SIGNATURE = good.rawHeaders[at('Signature')] ?? '';

/** The good message with the two fields replaced; an array gives a line each. */
function withFields(input: string | string[], signature: string | string[]): RequestParts {
  const lines = (name: string, values: string | string[]): string[] =>
    [values].flat().flatMap((value) => [name, value]);
  return {
    ...GET,
    rawHeaders: [...GET.rawHeaders, ...lines('Signature-Input', input), ...lines('signature', signature)],
  };
}

const OTHER = 'x=:AAAA:';
const FULL = ';created=1700000000;nonce="n";keyid="k"';

describe('whatever else was added, one good signature is found', () => {
  test.each<[string, string | string[], string | string[]]>([
    ['alone', INPUT, SIGNATURE],
    [
      'after one with a tag of its own',
      `x=("@method")${FULL};tag="other", ${INPUT}`,
      `${OTHER}, ${SIGNATURE}`,
    ],
    [
      'before one with a tag of its own',
      `${INPUT}, x=("@method")${FULL};tag="other"`,
      `${SIGNATURE}, ${OTHER}`,
    ],
    ['after one that has no signature', `x=("@method")${FULL}, ${INPUT}`, SIGNATURE],
    ['beside a signature that has no input', INPUT, `${OTHER}, ${SIGNATURE}`],
    ['after a token', `x=garbage, ${INPUT}`, `${OTHER}, ${SIGNATURE}`],
    ['after a bare key', `x, ${INPUT}`, `${OTHER}, ${SIGNATURE}`],
    ['after what is no dictionary member', `=?!, ${INPUT}`, `%, ${SIGNATURE}`],
    ['after an unknown component', `x=("@nonsense")${FULL}, ${INPUT}`, `${OTHER}, ${SIGNATURE}`],
    ['after a repeated component', `x=("a" "a")${FULL}, ${INPUT}`, `${OTHER}, ${SIGNATURE}`],
    ['after a repeated parameter', `x=("a")${FULL};created=1, ${INPUT}`, `${OTHER}, ${SIGNATURE}`],
    ['after a parameter of the wrong type', `x=("a");created="1", ${INPUT}`, `${OTHER}, ${SIGNATURE}`],
    ['after one that lacks a parameter', `x=("@method");keyid="k", ${INPUT}`, `${OTHER}, ${SIGNATURE}`],
    ['after junk behind the parameters', `x=("a")${FULL} junk, ${INPUT}`, `${OTHER}, ${SIGNATURE}`],
    ['after a signature that is not base64', `x=("a")${FULL}, ${INPUT}`, `x=:!!:, ${SIGNATURE}`],
    ['after a signature that is a string', `x=("a")${FULL}, ${INPUT}`, `x="a,b", ${SIGNATURE}`],
    [
      'after a parameter that holds a list',
      `x=("a");nonce="), (, y=\\"", ${INPUT}`,
      `${OTHER}, ${SIGNATURE}`,
    ],
    ['before an open string', `${INPUT}, x=("`, `${SIGNATURE}, x="`],
    ['with an open string on another line', ['x=("', INPUT], ['x="', SIGNATURE]],
    ['with a label that occurs twice', `x=("a")${FULL}, x=("a")${FULL}, ${INPUT}`, `${OTHER}, ${SIGNATURE}`],
  ])('%s', (_name, input, signature) => {
    expect(verify(withFields(input, signature)).label).toBe('sig1');
  });

  test('each profile finds the signature of its tag', () => {
    const bot = signed(GET, { label: 'bot', params: { tag: 'web-bot-auth' } });
    const both = { ...GET, rawHeaders: [...bot.rawHeaders, ...good.rawHeaders.slice(-4)] };
    expect(verify(both).label).toBe('sig1');
    expect(verify(both, { tag: 'web-bot-auth' }).label).toBe('bot');
    expect(codeOf(() => verify(both, { tag: 'else' }))).toBe('signature_not_found');
    expect(codeOf(() => verify(bot))).toBe('signature_not_found');
  });

  test('a label that was asked for is the one that is read', () => {
    const view = requestView(withFields(`x=("@method")${FULL}, ${INPUT}`, `${OTHER}, ${SIGNATURE}`));
    expect(selectSignature(view, { label: 'x' })?.label).toBe('x');
    expect(selectSignature(view, { label: 'sig1' })?.label).toBe('sig1');
    expect(codeOf(() => selectSignature(view, { label: 'y' }))).toBe('signature_not_found');
  });
});

describe('what is wrong is said when there is no good one', () => {
  test('no signature at all is not an error', () => {
    expect(selectSignature(requestView(GET))).toBeNull();
  });

  test.each<[string, string | string[], string | string[], string]>([
    ['no Signature', INPUT, [], 'signature_incomplete'],
    ['no Signature-Input', [], SIGNATURE, 'signature_incomplete'],
    ['labels that do not meet', INPUT, OTHER, 'signature_incomplete'],
    ['empty fields', '', '', 'signature_not_found'],
    ['the input twice', `${INPUT}, ${INPUT}`, SIGNATURE, 'signature_label_repeated'],
    ['the signature twice', INPUT, `${SIGNATURE}, ${SIGNATURE}`, 'signature_label_repeated'],
    ['a signature without padding', INPUT, SIGNATURE.replace('==:', ':'), 'signature_malformed'],
    ['a signature in base64url', INPUT, 'sig1=:-_-_:', 'signature_malformed'],
    ['an empty signature', INPUT, 'sig1=::', 'signature_malformed'],
    ['a signature that is a token', INPUT, 'sig1=abc', 'signature_malformed'],
    ['junk behind the signature', INPUT, `${SIGNATURE} junk`, 'signature_malformed'],
    ['no list', 'sig1=1', SIGNATURE, 'signature_malformed'],
    ['an upper-case label', INPUT.replace('sig1', 'Sig1'), SIGNATURE, 'signature_malformed'],
  ])('%s', (_name, input, signature, code) => {
    expect(codeOf(() => verify(withFields(input, signature)))).toBe(code);
  });

  test.each([
    ['created=1.0', 'parameter_invalid'],
    ['created="1"', 'parameter_invalid'],
    ['created=@1', 'parameter_invalid'],
    ['created', 'parameter_invalid'],
    ['expires=soon', 'parameter_invalid'],
    ['created=1;created=1', 'parameter_repeated'],
    ['nonce="a";nonce="a"', 'parameter_repeated'],
    ['nonce=token', 'parameter_invalid'],
    ['nonce=""', 'parameter_invalid'],
    [`nonce="${'n'.repeat(257)}"`, 'parameter_invalid'],
    ['keyid=:AAAA:', 'parameter_invalid'],
    [`keyid="${'k'.repeat(2049)}"`, 'parameter_invalid'],
    ['alg=ed25519', 'parameter_invalid'],
    [`alg="${'a'.repeat(129)}"`, 'parameter_invalid'],
    ['tag=1', 'parameter_invalid'],
    ['x=1;x=2', 'parameter_repeated'],
    ['created=1;', 'signature_malformed'],
    ['created=', 'signature_malformed'],
    ['nonce="caf\u00e9"', 'signature_malformed'],
  ])('the parameters %s', (params, code) => {
    expect(codeOf(() => selectSignature(withInput(`sig1=("@method");${params}`)))).toBe(code);
  });
});
