import { describe, expect, test } from 'vitest';
import { requestView, responseView } from '../../../src/trust/wire/message.ts';
import { prepareSignature } from '../../../src/trust/wire/sign.ts';
import { selectSignature } from '../../../src/trust/wire/signature-input.ts';
import { codeOf, GET, PARAMS, withInput } from './support/messages.ts';

const select = (list: string): unknown =>
  selectSignature(withInput(`sig1=${list};created=1;nonce="n";keyid="k"`));

describe('a component list that has no one meaning is refused when it is read', () => {
  test.each([
    ['("@method" "@method")', 'component_repeated'],
    ['("accept" "accept")', 'component_repeated'],
    ['("signature-input";key="a";bs "accept")', 'component_parameter_invalid'],
    ['("a";sf;key="x" "a";key="x";sf)', 'component_repeated'],
    ['("accept";sf;sf)', 'component_parameter_invalid'],
    ['("accept";unknown)', 'component_parameter_unknown'],
    ['("accept";name="x")', 'component_parameter_invalid'],
    ['("accept";sf=?0)', 'component_parameter_invalid'],
    ['("accept";bs="yes")', 'component_parameter_invalid'],
    ['("accept";key=token)', 'component_parameter_invalid'],
    ['("accept";bs;sf)', 'component_parameter_invalid'],
    ['("accept";bs;key="x")', 'component_parameter_invalid'],
    ['("@method";sf)', 'component_parameter_invalid'],
    ['("@method";tr)', 'component_parameter_invalid'],
    ['("@path";key="x")', 'component_parameter_invalid'],
    ['("@query-param")', 'component_parameter_invalid'],
    ['("@query-param";name=7)', 'component_parameter_invalid'],
    ['("@status";req)', 'component_parameter_invalid'],
    ['("@signature-params")', 'component_unknown'],
    ['("@unknown")', 'component_unknown'],
    ['("@Method")', 'component_unknown'],
    ['("@request-response")', 'component_unknown'],
    ['("Accept")', 'component_invalid'],
    ['("x y")', 'component_invalid'],
    ['(":path")', 'component_invalid'],
    ['("")', 'component_invalid'],
    ['(accept)', 'component_invalid'],
    ['(1)', 'component_invalid'],
    ['("a"  "b)', 'signature_malformed'],
    ['("a""b")', 'structured_field_invalid'],
    ['"a"', 'signature_malformed'],
  ])('%s: %s', (list, code) => {
    expect(codeOf(() => select(list))).toBe(code);
    expect(
      codeOf(() => select(list)),
      'the second time, from whatever was remembered',
    ).toBe(code);
  });

  test.each([
    ['"@status"', 'component_not_applicable'],
    ['"@method";req', 'component_not_applicable'],
    ['"accept";req', 'component_not_applicable'],
    ['x-absent', 'component_missing'],
    ['"accept";tr', 'component_missing'],
    ['"priority";key="u"', 'component_missing'],
    ['"x-odd";key="b"', 'component_missing'],
    ['"accept";key="a"', 'structured_field_invalid'],
    ['"accept";sf', 'component_not_structured'],
    ['"x-latin"', 'component_not_ascii'],
    ['"x-line"', 'component_not_ascii'],
    ['"x-nul"', 'component_not_ascii'],
    ['"x-wide";bs', 'component_not_ascii'],
  ])('what is not in the request, or not readable there, has no value: %s', (component, code) => {
    const odd = [
      'X-Odd',
      'a=1',
      'X-Latin',
      'caf\u00e9',
      'X-Line',
      'a\n"@method": POST',
      'X-Nul',
      'a\u0000b',
      'X-Wide',
      '\u2713',
    ];
    const parts = { ...GET, rawHeaders: [...GET.rawHeaders, ...odd] };
    const prepare = (): unknown =>
      prepareSignature(parts, { label: 'sig1', components: [component], params: PARAMS });
    expect(codeOf(prepare)).toBe(code);
  });

  test.each(['@method', '@path', '"@query-param";name="a"'])('%s says nothing of a response', (component) => {
    const response = responseView({ status: 200, rawHeaders: [], request: requestView(GET) });
    const prepare = (): unknown =>
      prepareSignature(response, { label: 's', components: [component], params: PARAMS });
    expect(codeOf(prepare)).toBe('component_not_applicable');
  });
});
