import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Config, parseConfig } from '../../src/config.ts';
import { page, section, tableRows } from './markdown.ts';

const PAGE = page('docs/configuration.md');
interface Row {
  readonly key: string;
  readonly fallback: string;
  readonly bounds: string;
}

function rowsOf(heading: string): Row[] {
  return tableRows(section(PAGE, heading))
    .slice(1)
    .map(([key = '', fallback = '', bounds = '']) => ({
      key: key.replaceAll('`', ''),
      fallback: fallback.replaceAll('`', ''),
      bounds,
    }));
}

const folder = mkdtempSync(join(tmpdir(), 'sage-config-'));
const SECRET_FILE = join(folder, 'secret');
writeFileSync(SECRET_FILE, randomBytes(32).toString('base64'));
afterAll(() => rmSync(folder, { recursive: true }));

type Entry = Record<string, unknown>;

function configOf(changes: { agent?: Entry; chain?: Entry; registry?: Entry; file?: Entry } = {}): Config {
  const agent = { id: 'a', upstreams: ['http://127.0.0.1:1'], ...changes.agent };
  const registry = { address: `0x${'ab'.repeat(20)}`, ...changes.registry };
  const chain = { id: 1, registries: [registry], ...changes.chain };
  const file = { apiVersion: 'sage/v1', agents: [agent], chains: [chain], ...changes.file };
  // JSON is YAML.
  return parseConfig(JSON.stringify(file), '/etc/sage/sage.yaml');
}

const place = (heading: string): 'agent' | 'chain' | 'registry' =>
  heading === '### An agent' ? 'agent' : heading === '### A chain' ? 'chain' : 'registry';

const number = (text: string): number => Number(text.replaceAll(',', ''));

describe('the keys', () => {
  test('of an upstream are those that parse', () => {
    const keys = rowsOf('### An upstream').map(({ key }) => key);
    expect(keys).toEqual(['url', 'protocol']);
    configOf({ agent: { upstreams: [{ url: 'http://127.0.0.1:1', protocol: 'h2' }] } });
    expect(() => configOf({ agent: { upstreams: [{ url: 'http://127.0.0.1:1', ca: 'x' }] } })).toThrow(/ca/);
  });
});

test('the keys of an operator are those that parse', () => {
  expect(rowsOf('### An operator').map(({ key }) => key)).toEqual(['did', 'role']);
  const operator = { did: 'did:web:o.example', role: 'admin' };
  expect(configOf({ file: { operators: [operator] } }).operators).toEqual([operator]);
  for (const wrong of [{ did: operator.did }, { ...operator, role: 'root' }, { ...operator, name: 'o' }])
    expect(() => configOf({ file: { operators: [wrong] } })).toThrow(/operators/);
});

describe('the bounds', () => {
  const ranges = ['### An agent', '### A chain', '### A registry'].flatMap((heading) =>
    rowsOf(heading).flatMap(({ key, bounds }) => {
      const found = /(\d[\d,]*) to (\d[\d,]*)$/.exec(bounds);
      return found === null
        ? []
        : [{ heading, key, least: number(found[1] ?? ''), most: number(found[2] ?? '') }];
    }),
  );

  test('of numbers are enforced as they are written', () => {
    expect(ranges.length).toBeGreaterThanOrEqual(7);
    for (const { heading, key, least, most } of ranges) {
      const take = (value: number): Config => configOf({ [place(heading)]: { [key]: value } });
      take(least);
      take(most);
      expect(() => take(least - 1), `${key} below ${least}`).toThrow(key);
      expect(() => take(most + 1), `${key} above ${most}`).toThrow(key);
    }
  });

  test('of lists are enforced as they are written', () => {
    const entries: Readonly<Record<string, (count: number) => Config>> = {
      agents: (count) =>
        configOf({
          file: {
            agents: Array.from({ length: count }, (_, i) => ({ id: `a${i}`, upstreams: ['http://h'] })),
          },
        }),
      chains: (count) =>
        configOf({
          file: {
            chains: Array.from({ length: count }, (_, i) => ({
              id: i + 1,
              registries: [{ address: `0x${'0'.repeat(40)}` }],
            })),
          },
        }),
      upstreams: (count) =>
        configOf({ agent: { upstreams: Array.from({ length: count }, (_, i) => `http://h:${i + 1}`) } }),
      allow: (count) =>
        configOf({ agent: { allow: Array.from({ length: count }, (_, i) => `did:web:a${i}.example`) } }),
      shared_keys: (count) =>
        configOf({
          file: {
            shared_keys: Array.from({ length: count }, (_, i) => ({
              keyid: `did:web:p${i}.example#k`,
              secret_file: SECRET_FILE,
            })),
          },
        }),
      operators: (count) =>
        configOf({
          file: { operators: Array.from({ length: count }, (_, i) => `did:web:o${i}.example`) },
        }),
      registries: (count) =>
        configOf({
          chain: {
            registries: Array.from({ length: count }, (_, i) => ({
              address: `0x${`${i}`.padStart(40, '0')}`,
            })),
          },
        }),
    };
    const rows = ['### The file', '### An agent', '### A chain'].flatMap(rowsOf);
    expect(Object.keys(entries).sort()).toEqual(
      rows
        .filter(({ bounds }) => bounds.endsWith('entries'))
        .map(({ key }) => key)
        .sort(),
    );
    for (const [key, take] of Object.entries(entries)) {
      const bounds = rows.find((row) => row.key === key)?.bounds ?? '';
      const [, least = '', most = ''] = /^(\d+) to ([\d,]+) entries$/.exec(bounds) ?? [];
      take(number(least));
      take(number(most));
      if (number(least) > 0) expect(() => take(number(least) - 1), key).toThrow(key);
      expect(() => take(number(most) + 1), key).toThrow(key);
    }
  });

  test('of choices are the choices', () => {
    for (const { key, bounds } of rowsOf('### An agent')) {
      const choices = [...bounds.matchAll(/`([a-z_]+)`(?:, |$)/g)].map((match) => match[1] ?? '');
      if (choices.length < 2) continue;
      for (const choice of choices) configOf({ agent: { [key]: choice } });
      expect(() => configOf({ agent: { [key]: 'other' } })).toThrow(key);
    }
  });
});

test('the defaults are the defaults', () => {
  const config = configOf();
  const [agent] = config.agents;
  const [chain] = config.chains;
  const read: Readonly<Record<string, unknown>> = {
    authentication: agent?.authentication,
    body: agent?.body,
    profiles: agent?.profiles.join(', '),
    on_nonce_store_down: agent?.onNonceStoreDown,
    connect_timeout_ms: agent?.timeouts.connectMs,
    response_timeout_ms: agent?.timeouts.headersMs,
    body_idle_timeout_ms: agent?.timeouts.bodyIdleMs,
    retries: agent?.retries,
    websocket_max_message_bytes: agent?.websocketMaxMessageBytes,
    finality: chain?.finality,
    from_block: chain?.registries[0]?.fromBlock,
    kind: chain?.registries[0]?.kind,
    protocol: agent?.upstreams[0]?.protocol,
  };
  const rows = ['### An agent', '### An upstream', '### A chain', '### A registry'].flatMap(rowsOf);
  for (const [key, value] of Object.entries(read)) {
    const stated = rows.find((row) => row.key === key)?.fallback ?? '';
    expect(/^[\d,]+$/.test(stated) ? number(stated) : stated, key).toEqual(value);
  }
  // Whatever else states a default would not be looked at above.
  const others = rows.filter(({ key }) => !(key in read)).map(({ fallback }) => fallback);
  expect(new Set(others)).toEqual(new Set(['required', 'none', 'nobody']));
  expect(configOf({ file: { operators: ['did:web:o.example'] } }).operators).toEqual([
    { did: 'did:web:o.example', role: 'operator' },
  ]);
  expect(config.operators).toEqual([]);
  expect(agent?.allow).toEqual([]);
  expect(config.policyFile).toBeNull();
});
