import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseKeyId } from '../../../src/trust/did/did-url.ts';
import { DidError } from '../../../src/trust/did/errors.ts';
import { webUrl } from '../../../src/trust/did/web-name.ts';
import { codeOf } from './world.ts';

const SCID = 'QmWRxH3d96RXiVkm5D4n9XHY9tpwRY6jFBnSjZbWnSN2VN';

const urlOf = (did: string, file: 'did.json' | 'did.jsonl' = 'did.json'): string => {
  const { site } = parseKeyId(did);
  if (site === null) throw new Error(`${did} has no host`);
  return webUrl(site, file).href;
};

describe('a name of the web', () => {
  it.each([
    ['did:web:agents.example', 'https://agents.example/.well-known/did.json'],
    ['did:web:agents.example:weather', 'https://agents.example/weather/did.json'],
    ['did:web:agents.example:a:B_c.d-e', 'https://agents.example/a/B_c.d-e/did.json'],
    ['did:web:agents.example%3A8443', 'https://agents.example:8443/.well-known/did.json'],
    ['did:web:agents.example%3A8443:weather', 'https://agents.example:8443/weather/did.json'],
    ['did:web:xn--mnchen-3ya.example', 'https://xn--mnchen-3ya.example/.well-known/did.json'],
    ['did:web:a1.b-2.c3', 'https://a1.b-2.c3/.well-known/did.json'],
    ['did:web:localhost%3A8443', 'https://localhost:8443/.well-known/did.json'],
    ['did:web:1.2.3.4.example', 'https://1.2.3.4.example/.well-known/did.json'],
  ])('%s is looked for at %s', (did, url) => {
    expect(urlOf(did)).toBe(url);
    expect(parseKeyId(`${did}#k-1`)).toMatchObject({
      did,
      fragment: 'k-1',
      methodClass: 'web',
      method: 'web',
    });
  });

  it('with a history has its log there', () => {
    expect(urlOf(`did:webvh:${SCID}:agents.example`, 'did.jsonl')).toBe(
      'https://agents.example/.well-known/did.jsonl',
    );
    expect(urlOf(`did:webvh:${SCID}:agents.example%3A8443:a`, 'did.jsonl')).toBe(
      'https://agents.example:8443/a/did.jsonl',
    );
  });
});

const MALFORMED = [
  'did:web:',
  'did:web:example',
  'did:web:Agents.example',
  'did:web:agents.example.',
  'did:web:.agents.example',
  'did:web:agents..example',
  'did:web:-agents.example',
  'did:web:agents-.example',
  'did:web:agents_x.example',
  'did:web:münchen.example',
  'did:web:agents.exаmple', // Cyrillic a
  'did:web:agents。example', // ideographic full stop
  'did:web:agents.example\u200b',
  'did:web:xn--agents-.example',
  'did:web:127.0.0.1',
  'did:web:127.0.0.1%3A8443',
  'did:web:2130706433',
  'did:web:0x7f000001',
  'did:web:agents.0x7f',
  'did:web:agents.1',
  'did:web:127.1',
  'did:web:[::1]',
  'did:web:%5B%3A%3A1%5D',
  'did:web:agents.example%3a8443',
  'did:web:agents.example%3A',
  'did:web:agents.example%3A0',
  'did:web:agents.example%3A08443',
  'did:web:agents.example%3A443',
  'did:web:agents.example%3A65536',
  'did:web:agents.example%3A84%3A43',
  'did:web:agents.example%3Aabc',
  'did:web:%3A8443',
  'did:web:agents.example%2Fpath',
  'did:web:agents.example%40localhost',
  'did:web:user%40localhost',
  'did:web:agents.example%3Fx',
  'did:web:agents.example%23x',
  'did:web:agents.example%5C',
  'did:web:agents.example%00',
  'did:web:agents.example%2e',
  'did:web:agents%2Eexample',
  'did:web:agents.example:%2E%2E',
  'did:web:agents.example:..',
  'did:web:agents.example:.',
  'did:web:agents.example:a:..:b',
  'did:web:agents.example::a',
  'did:web:agents.example:a:',
  'did:web:agents.example:a%20b',
  'did:web:agents.example:a%3A8443',
  'did:web:agents.example:a~b',
  'did:web:agents.example/a',
  'did:web:agents.example?x=1',
  `did:web:${'a'.repeat(64)}.example`,
  `did:web:${'a.'.repeat(130)}example`,
  'did:webvh:agents.example',
  `did:webvh:${SCID}`,
  `did:webvh:${SCID}:127.0.0.1`,
  `did:webvh:${SCID.slice(0, -1)}:agents.example`,
  `did:webvh:${SCID}x:agents.example`,
  `did:webvh:${SCID.replace('W', '0')}:agents.example`,
  `did:webvh:Zm${SCID.slice(2)}:agents.example`,
  'did:webvh:{SCID}:agents.example',
];

describe('any other spelling is malformed', () => {
  it.each(MALFORMED)('%j', async (did) => {
    expect(await codeOf(() => parseKeyId(did))).toBe('did_malformed');
    expect(await codeOf(() => parseKeyId(`${did}#k`))).toBe('did_malformed');
  });

  it('and what is read leads to the host that it names, whatever the text', () => {
    const parts = fc.constantFrom(
      '%3A',
      ':',
      '.',
      '-',
      '@',
      '%40',
      '%2F',
      '/',
      '\\',
      '..',
      '1',
      '127.0.0.1',
      '0x7f',
      'xn--',
      'a',
      'Z',
      '_',
    );
    const text = fc
      .array(fc.oneof(parts, fc.string({ maxLength: 3 })), { maxLength: 12 })
      .map((all) => all.join(''));
    fc.assert(
      fc.property(text, (id) => {
        try {
          const { site } = parseKeyId(`did:web:${id}`);
          if (site === null) return false;
          const url = webUrl(site, 'did.json');
          const path = url.pathname.split('/').length - 2;
          return (
            url.hostname === site.host &&
            id.startsWith(site.host) &&
            url.port === (site.port === null ? '' : `${site.port}`) &&
            path === Math.max(1, site.path.length) &&
            url.username + url.search + url.hash === ''
          );
        } catch (error) {
          return error instanceof DidError && error.code === 'did_malformed';
        }
      }),
      { numRuns: 3_000 },
    );
  });
});
