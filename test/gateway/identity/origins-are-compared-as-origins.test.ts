import { expect, test } from 'vitest';
import { createOrigins, findOrigin, loopbackOrigins } from '../../../src/gateway/identity/origins.ts';
import { Refused } from '../../../src/gateway/refusal.ts';

const origins = createOrigins([
  'https://gateway.example',
  'http://plain.example',
  'https://agents.example:8443',
]);

function find(authority: string): string {
  try {
    const { scheme, authority: found } = findOrigin(origins, authority);
    return `${scheme}://${found}`;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return error.kind.code;
  }
}

test.each([
  ['gateway.example', 'https://gateway.example'],
  ['GATEWAY.example', 'https://gateway.example'],
  ['gateway.example:443', 'https://gateway.example'],
  ['Gateway.Example:443', 'https://gateway.example'],
  ['plain.example:80', 'http://plain.example'],
  ['agents.example:8443', 'https://agents.example:8443'],
  // The default port of the other scheme is another origin.
  ['gateway.example:80', 'authority_unknown'],
  ['plain.example:443', 'authority_unknown'],
  ['agents.example', 'authority_unknown'],
  ['gateway.example.', 'authority_unknown'],
  ['gateway.example.evil.example', 'authority_unknown'],
  ['', 'authority_unknown'],
])('%j is %s', (authority, expected) => {
  expect(find(authority)).toBe(expected);
});

test('on loopback, each of its names', () => {
  const loopback = createOrigins(loopbackOrigins('http', 8_080));
  for (const authority of ['127.0.0.1:8080', 'localhost:8080', '[::1]:8080'])
    expect(findOrigin(loopback, authority)).toEqual({ scheme: 'http', authority });
});
