import { describe, expect, test } from 'vitest';
import { contentDigest } from '../../../src/trust/wire/content-digest.ts';
import type { RequestParts } from '../../../src/trust/wire/message.ts';
import { requestView } from '../../../src/trust/wire/message.ts';
import { type Signature, selectSignature } from '../../../src/trust/wire/signature-input.ts';
import { checkCoverage } from '../../../src/trust/wire/verify.ts';
import { codeOf, GET, PARAMS, signed, verify, withInput } from './support/messages.ts';

const withHeaders = (...rawHeaders: string[]): RequestParts => ({
  ...GET,
  rawHeaders: [...GET.rawHeaders, ...rawHeaders],
});
const NO_QUERY = { ...GET, target: '/agents/weather' };
const BODY = Buffer.from('{}');
const POST = { ...withHeaders('Content-Digest', contentDigest(BODY)), method: 'POST' };

describe('a signature has to cover what makes the request this one', () => {
  test.each<[string, RequestParts, string[], boolean]>([
    ['method, authority, path and query', GET, ['@method', '@authority', '@path', '@query'], false],
    ['method and target URI', GET, ['@method', '@target-uri'], false],
    ['no query when there is none', NO_QUERY, ['@method', '@authority', '@path'], false],
    ['the digest of a body', POST, ['@method', '@target-uri', 'content-digest'], true],
    [
      'the credentials it sends',
      withHeaders('Authorization', 'Bearer x'),
      ['@method', '@target-uri', 'authorization'],
      false,
    ],
  ])('enough: %s', (_name, parts, components, hasBody) => {
    expect(verify(signed(parts, { components }), { hasBody }).label).toBe('sig1');
  });

  test.each<[string, RequestParts, string[], boolean, string]>([
    ['no method', GET, ['@target-uri'], false, '"@method"'],
    ['authority alone', GET, ['@method', '@authority'], false, '"@path"'],
    ['path alone', GET, ['@method', '@path', '@query'], false, '"@authority"'],
    ['the query left out', GET, ['@method', '@authority', '@path'], false, '"@query"'],
    [
      'an empty query left out',
      { ...NO_QUERY, target: '/a?' },
      ['@method', '@authority', '@path'],
      false,
      '"@query"',
    ],
    [
      'one parameter of the query',
      GET,
      ['@method', '@authority', '@path', '"@query-param";name="city"'],
      false,
      '"@query"',
    ],
    ['the request target, which names no host', GET, ['@method', '@request-target'], false, '"@authority"'],
    ['a body without its digest', POST, ['@method', '@target-uri'], true, '"content-digest"'],
    [
      'one member of the digest',
      POST,
      ['@method', '@target-uri', '"content-digest";key="sha-256"'],
      true,
      '"content-digest"',
    ],
    [
      'the digest as bytes',
      POST,
      ['@method', '@target-uri', '"content-digest";bs'],
      true,
      '"content-digest"',
    ],
    [
      'credentials left out',
      withHeaders('authorization', 'Bearer x'),
      ['@method', '@target-uri'],
      false,
      '"authorization"',
    ],
    [
      'credentials as bytes',
      withHeaders('Authorization', 'x'),
      ['@method', '@target-uri', '"authorization";bs'],
      false,
      '"authorization"',
    ],
  ])('not enough: %s', (_name, parts, components, hasBody, missing) => {
    const run = (): unknown => verify(signed(parts, { components }), { hasBody });
    expect(codeOf(run)).toBe('coverage_insufficient');
    expect(run).toThrow(missing);
  });

  test.each(['created', 'keyid', 'nonce'])('the parameter %s is required', (name) => {
    const params = Object.entries(PARAMS)
      .filter(([key]) => key !== name)
      .map(([key, value]) => `;${key}=${typeof value === 'number' ? value : `"${value}"`}`);
    const view = withInput(`sig1=("@method" "@target-uri")${params.join('')}`);
    const signature = selectSignature(view) as Signature;
    expect(codeOf(() => checkCoverage(signature, view, { hasBody: false }))).toBe('parameter_missing');
  });

  test('the result names what was covered, exact parameters included', () => {
    const parts = signed(POST, {
      components: ['@method', '@target-uri', '"@query-param";name="city"', '"content-digest";bs'],
    });
    const covered = selectSignature(requestView(parts))?.covered;
    expect([...(covered ?? [])]).toEqual([
      '"@method"',
      '"@target-uri"',
      '"@query-param";name="city"',
      '"content-digest";bs',
    ]);
  });
});
