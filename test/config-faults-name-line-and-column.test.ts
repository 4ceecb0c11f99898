import { describe, expect, test } from 'vitest';
import { ConfigError, chainsToWatch, parseConfig } from '../src/config.ts';

const AGENT = '{ id: echo, upstreams: ["http://127.0.0.1:9100"] }';
const file = (agents: string, more = ''): string => `apiVersion: sage/v1\nagents:\n${agents}\n${more}`;

function messageOf(text: string): string {
  try {
    parseConfig(text, 'sage.yaml');
    return '';
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message;
  }
}

describe('faults', () => {
  test.each([
    ['nothing', '', /sage\.yaml:\d+:\d+/],
    ['another version', `apiVersion: sage/v2\nagents:\n  - ${AGENT}\n`, /sage\.yaml:1:\d+: apiVersion/],
    ['no list of agents', 'apiVersion: sage/v1\nagents:\n', /sage\.yaml:2:\d+: agents/],
    [
      'an operator twice',
      file(`  - ${AGENT}`, 'operators: ["did:web:o.example", { did: "did:web:o.example", role: admin }]'),
      /sage\.yaml:4:\d+: .*listed twice/,
    ],
    ['an operator who is no DID', file(`  - ${AGENT}`, 'operators: [alice]'), /sage\.yaml:4:\d+: operators/],
    ['a tab', 'apiVersion: sage/v1\nagents:\n\t- id: echo\n', /sage\.yaml:3:\d+/],
    ['a key twice', file(`  - ${AGENT}`, 'agents: []'), /sage\.yaml:4:\d+/],
    [
      'an alias',
      file('  - &a { id: echo, upstreams: ["http://127.0.0.1:1"] }\n  - *a'),
      /sage\.yaml:[34]:\d+/,
    ],
    [
      'an id in upper case',
      file('  - { id: Echo, upstreams: ["http://127.0.0.1:1"] }'),
      /sage\.yaml:3:\d+: agents\[0\]\.id/,
    ],
    [
      'a protocol of no ours',
      file('  - { id: echo, upstreams: ["ftp://127.0.0.1"] }'),
      /sage\.yaml:3:\d+: .*origin/,
    ],
    [
      'credentials in an upstream',
      file('  - { id: echo, upstreams: ["http://u:p@127.0.0.1"] }'),
      /sage\.yaml:3:\d+: .*origin/,
    ],
    [
      'a time that is no number',
      file('  - { id: echo, upstreams: ["http://127.0.0.1:1"], connect_timeout_ms: 2s }'),
      /sage\.yaml:3:\d+: agents\[0\]\.connect_timeout_ms/,
    ],
    [
      'an allow list nobody asks',
      file('  - { id: echo, upstreams: ["http://127.0.0.1:1"], authentication: none, allow: ["*"] }'),
      /sage\.yaml:3:\d+: .*authentication: none/,
    ],
    ['an agent twice', file(`  - ${AGENT}\n  - ${AGENT}`), /sage\.yaml:4:\d+: .*used twice/],
    [
      'an upstream twice',
      file('  - { id: echo, upstreams: ["http://a.example", "http://A.example:80/"] }'),
      /sage\.yaml:3:\d+: .*listed twice/,
    ],
    [
      'a registry twice',
      file(
        `  - ${AGENT}`,
        `chains: [{ id: 1, registries: [{ address: "0x${'aB'.repeat(20)}" }, { address: "0x${'Ab'.repeat(20)}" }] }]`,
      ),
      /sage\.yaml:4:\d+: .*listed twice/,
    ],
    [
      'no address',
      file(`  - ${AGENT}`, 'chains: [{ id: 1, registries: [{ address: "0x12" }] }]'),
      /sage\.yaml:4:\d+: chains\[0\]\.registries\[0\]\.address/,
    ],
  ])('%s', (_what, text, says) => {
    expect(messageOf(text)).toMatch(says);
  });

  test('all of them at once, one a line', () => {
    const text = file(
      '  - { id: Echo, upstreams: [] }\n  - { id: two, upstreams: ["http://127.0.0.1:1"], colour: blue }',
    );
    const faults = messageOf(text).split('\n');
    expect(faults.length).toBeGreaterThanOrEqual(3);
    for (const fault of faults) expect(fault).toMatch(/^sage\.yaml:[34]:\d+: /);
  });
});

test('what is left out has its default, and an upstream is its origin', () => {
  const config = parseConfig(
    file('  - { id: echo, upstreams: ["HTTP://A.example:80/", { url: "https://b.example", protocol: h2 }] }'),
    '/etc/sage/sage.yaml',
  );
  expect(config.agents[0]).toEqual({
    id: 'echo',
    upstreams: [
      { url: 'http://a.example', protocol: 'http/1.1' },
      { url: 'https://b.example', protocol: 'h2' },
    ],
    authentication: 'required',
    allow: [],
    profiles: ['rfc9421'],
    body: 'buffer',
    onNonceStoreDown: 'refuse_unsafe',
    timeouts: { connectMs: 2_000, headersMs: 30_000, bodyIdleMs: 300_000 },
    retries: 1,
    websocketMaxMessageBytes: 1_048_576,
  });
  expect(config).toMatchObject({ policyFile: null, chains: [] });
});

test('a policy file is found from the folder of sage.yaml', () => {
  expect(parseConfig(file(`  - ${AGENT}`, 'policy: ../policy.yaml'), '/etc/sage/sage.yaml').policyFile).toBe(
    '/etc/policy.yaml',
  );
});

describe('chains and their endpoints', () => {
  const chain = (id: number): string =>
    `{ id: ${id}, registries: [{ address: "0x${'0'.repeat(38)}AB", from_block: 7 }] }`;
  const config = (...ids: number[]) =>
    parseConfig(file(`  - ${AGENT}`, `chains: [${ids.map(chain).join(', ')}]`), 'sage.yaml');

  test('an endpoint without a chain belongs to the only one', () => {
    const [watched] = chainsToWatch(config(1), [
      { chainId: null, url: 'http://a' },
      { chainId: 1, url: 'http://b' },
    ]);
    expect(watched).toMatchObject({ id: 1, urls: ['http://a', 'http://b'], finality: 'safe' });
    expect(watched?.registries).toEqual([
      { kind: 'erc8004', address: `0x${'0'.repeat(38)}ab`, fromBlock: 7 },
    ]);
  });

  test('every fault is told', () => {
    const wrong = (): unknown =>
      chainsToWatch(config(1, 5), [
        { chainId: null, url: 'http://a' },
        { chainId: 9, url: 'http://b' },
      ]);
    expect(wrong).toThrow(
      /prefix each URL[\s\S]*chain 9 is not in the configuration[\s\S]*chain 1 is configured[\s\S]*chain 5 is configured/,
    );
  });
});
