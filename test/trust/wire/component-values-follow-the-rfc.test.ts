import { describe, expect, test } from 'vitest';
import { latin1Text } from '../../../src/trust/wire/bytes.ts';
import type { RequestParts, ResponseParts } from '../../../src/trust/wire/message.ts';
import { requestView } from '../../../src/trust/wire/message.ts';
import { prepareSignature } from '../../../src/trust/wire/sign.ts';
import { selectSignature } from '../../../src/trust/wire/signature-input.ts';
import { signatureBase } from '../../../src/trust/wire/verify.ts';
import { GET, PARAMS, signed, verify, withInput } from './support/messages.ts';

/** The first line of the base: what the one component came to. */
function lineOf(message: RequestParts | ResponseParts, component: string): string | undefined {
  const { base } = prepareSignature(message, { label: 's', components: [component], params: PARAMS });
  return latin1Text(base).split('\n')[0];
}
const request = (change: Partial<RequestParts>): RequestParts => ({ ...GET, ...change });

describe('derived components (RFC 9421, section 2.2)', () => {
  test.each<[string, Partial<RequestParts>, string]>([
    ['@method', { method: 'PATCH' }, 'PATCH'],
    ['@authority', { authority: 'Gateway.EXAMPLE' }, 'gateway.example'],
    ['@authority', { authority: 'gateway.example:443' }, 'gateway.example'],
    ['@authority', { authority: 'gateway.example:80' }, 'gateway.example:80'],
    ['@authority', { authority: 'gateway.example:80', scheme: 'http' }, 'gateway.example'],
    ['@authority', { authority: '[::1]:8443' }, '[::1]:8443'],
    ['@scheme', { scheme: 'HTTPS' }, 'https'],
    ['@path', { target: '/a/../b%2F?x' }, '/a/../b%2F'],
    ['@path', { target: '?x' }, '/'],
    ['@path', { target: 'https://gateway.example' }, '/'],
    ['@path', { target: 'https://gateway.example/x?y' }, '/x'],
    ['@path', { target: 'https://gateway.example?y=/z' }, '/'],
    ['@path', { target: '/https://elsewhere/x' }, '/https://elsewhere/x'],
    ['@query', { target: '/a?b=%20c+d&e' }, '?b=%20c+d&e'],
    ['@query', { target: '/a?' }, '?'],
    ['@query', { target: '/a' }, '?'],
    ['@query', { target: '/a?b?c' }, '?b?c'],
    ['@target-uri', { target: '/a?b' }, 'https://gateway.example/a?b'],
    ['@target-uri', { target: '/a', authority: 'X.example:443' }, 'https://x.example/a'],
    ['@request-target', { target: '/a?b' }, '/a?b'],
    ['"@query-param";name="b"', { target: '/a?b=c+d' }, 'c%20d'],
  ])('%s of %j', (component, change, value) => {
    const identifier = component.startsWith('"') ? component : `"${component}"`;
    expect(lineOf(request(change), component)).toBe(`${identifier}: ${value}`);
  });

  test('of a response, its status and what it answers', () => {
    const response: ResponseParts = { status: 503, rawHeaders: ['X', 'mine'], request: requestView(GET) };
    expect(lineOf(response, '@status')).toBe('"@status": 503');
    expect(lineOf(response, '"@method";req')).toBe('"@method";req: GET');
    expect(lineOf(response, '"accept";req')).toBe('"accept";req: application/json');
    expect(lineOf(response, 'x')).toBe('"x": mine');
    expect(lineOf(response, '"@query-param";req;name="unit"')).toBe('"@query-param";req;name="unit": c');
  });
});

describe('fields (RFC 9421, section 2.1)', () => {
  const rawHeaders = [
    ['X-OWS', ' \t leading and trailing \t'],
    ['x-empty', ''],
    ['X-Twice', ' a '],
    ['x-twice', 'b,c '],
    ['X-Fold', 'one\r\n  two\n\tthree'],
    ['Example-Dict', ' a=1,   b=2;x=1;y=2,   c=(a   b   c), d'],
    ['example-dict', 'e=?1'],
    ['Priority', 'u=1,   i'],
    ['Accept-CH', 'A,B ,C'],
    ['Client-Cert', ' :AAAA: '],
    ['X-Latin', 'caf\u00e9'],
    ['cookie', 'a=1'],
    ['cookie', 'b=2'],
  ].flat();
  test.each([
    ['x-ows', '"x-ows": leading and trailing'],
    ['x-empty', '"x-empty": '],
    ['x-twice', '"x-twice": a, b,c'],
    ['x-fold', '"x-fold": one two three'],
    // RFC 9113, section 8.2.3.
    ['cookie', '"cookie": a=1; b=2'],
    ['"priority";sf', '"priority";sf: u=1, i'],
    ['"accept-ch";sf', '"accept-ch";sf: A, B, C'],
    ['"client-cert";sf', '"client-cert";sf: :AAAA:'],
    ['"example-dict";key="a"', '"example-dict";key="a": 1'],
    ['"example-dict";key="b"', '"example-dict";key="b": 2;x=1;y=2'],
    ['"example-dict";key="c"', '"example-dict";key="c": (a b c)'],
    ['"example-dict";key="d"', '"example-dict";key="d": ?1'],
    ['"example-dict";key="e"', '"example-dict";key="e": ?1'],
    ['"x-twice";bs', '"x-twice";bs: :YQ==:, :Yixj:'],
    ['"x-latin";bs', '"x-latin";bs: :Y2Fm6Q==:'],
  ])('%s', (component, line) => {
    expect(lineOf({ ...GET, rawHeaders }, component)).toBe(line);
  });

  test('of the trailers, with ;tr and only then', () => {
    const parts = request({ rawHeaders: ['Expires', 'header'], rawTrailers: ['Expires', 'trailer'] });
    expect(lineOf(parts, '"expires";tr')).toBe('"expires";tr: trailer');
    expect(lineOf(parts, 'expires')).toBe('"expires": header');
  });
});

describe('the last line is the canonical form of what was received (section 2.3)', () => {
  test.each([
    ['("@method");created=1;nonce="n";keyid="k"', '("@method");created=1;nonce="n";keyid="k"'],
    ['( "@method"   "accept" );created=1', '("@method" "accept");created=1'],
    ['("@method"); created=1;  nonce="n"', '("@method");created=1;nonce="n"'],
    ['("@method");created=0001', '("@method");created=1'],
    ['("@method");created=-0', '("@method");created=0'],
    ['("@method");created=1;x=?1;y=?0;z=1.50', '("@method");created=1;x;y=?0;z=1.5'],
    ['("@method");created=1;nonce="a\\"b\\\\c"', '("@method");created=1;nonce="a\\"b\\\\c"'],
    ['("@method");z;keyid="k";created=1;a=tok', '("@method");z;keyid="k";created=1;a=tok'],
    ['("@query-param"; name="unit")', '("@query-param";name="unit")'],
  ])('%s', (received, canonical) => {
    for (const time of ['compiled', 'remembered']) {
      const view = withInput(`sig1=${received}`);
      const signature = selectSignature(view);
      if (signature === null) throw new Error('not found');
      const lines = latin1Text(signatureBase(signature, view)).split('\n');
      expect(lines.at(-1), time).toBe(`"@signature-params": ${canonical}`);
    }
  });

  test('a signature made in canonical form survives being respaced on the way', () => {
    const parts = signed();
    const at = parts.rawHeaders.indexOf('Signature-Input') + 1;
    const respaced = (parts.rawHeaders[at] ?? '').replaceAll(';', ';  ').replaceAll('" "', '"   "');
    expect(verify({ ...parts, rawHeaders: parts.rawHeaders.with(at, respaced) }).label).toBe('sig1');
  });
});
