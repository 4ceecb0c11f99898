import { createConfig, lintFromString } from '@redocly/openapi-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openGateway, type TestGateway } from '../support/gateway.ts';
import { type Json, OPERATOR_KEY, operate } from './support/operator.ts';

let gateway: TestGateway;
let document: Json;

beforeAll(async () => {
  gateway = await openGateway({
    agents: ['{ id: echo, upstreams: ["http://127.0.0.1:9"] }'],
    // The linter frowns on documents that name localhost.
    env: { OPERATOR_API_KEY: OPERATOR_KEY, PUBLIC_ORIGINS: 'https://gateway.test' },
    atOnce: true,
  });
  document = (await operate(gateway, 'GET', '/v1/openapi.json')).body;
});
afterAll(() => gateway.close());

interface Operation {
  readonly name: string;
  readonly value: Json;
}

const operations = (): Operation[] =>
  Object.entries(document.paths as Record<string, Record<string, Json>>).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, value]) => ({ name: `${method.toUpperCase()} ${path}`, value })),
  );

/** Routes as the router prints them: a tree, each node's indent and text a part of the path. */
function routesOf(tree: string): string[] {
  const parts: string[] = [];
  const found: string[] = [];
  for (const line of tree.split('\n')) {
    const [, indent = '', text = '', methods = ''] =
      /^([│ ]*)(?:├── |└── )(.*?)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? [];
    if (text === '') continue;
    const depth = indent.length / 4;
    parts.length = depth;
    parts[depth] = text;
    const path = parts.join('').replaceAll(/:(\w+)/g, '{$1}');
    for (const method of methods.split(', ').filter((name) => !['', 'HEAD'].includes(name)))
      found.push(`${method} ${path}`);
  }
  return found;
}

test('it holds every route of /v1, and no other', () => {
  const served = routesOf(gateway.app.printRoutes({ commonPrefix: false }));
  const own = served.filter((name) => name.includes(' /v1/') && !name.endsWith('/*'));
  expect(own.length).toBeGreaterThan(20);
  expect(
    operations()
      .map(({ name }) => name)
      .sort(),
  ).toEqual([...new Set(own)].sort());
});

test('a public linter finds nothing wrong with it', async () => {
  const config = await createConfig({ extends: ['recommended'] });
  const problems = await lintFromString({ source: JSON.stringify(document), config });
  const told = problems.map(
    ({ severity, ruleId, message, location }) => `${severity} ${ruleId} ${message} ${location[0]?.pointer}`,
  );
  expect(told).toEqual([]);
});

describe('every operation', () => {
  test('has an id, a summary, a tag that is explained, and says what it needs', () => {
    const tags = new Set(document.tags.map(({ name }: Json) => name));
    for (const { name, value } of operations()) {
      expect(value.operationId, name).toMatch(/^[a-z][A-Za-z]+$/);
      expect(value.summary.length, name).toBeGreaterThan(5);
      expect(
        value.tags.every((tag: string) => tags.has(tag)),
        name,
      ).toBe(true);
      expect(
        value.security.map((each: Json) => Object.keys(each)[0]),
        name,
      ).toEqual(['bearer', 'signature']);
    }
    for (const { description } of document.tags) expect(description).toMatch(/\.$/);
  });

  test('tells its refusals as problem documents, by code', () => {
    for (const { name, value } of operations()) {
      const statuses = Object.keys(value.responses);
      expect(
        statuses.some((status) => /^[12]/.test(status)),
        name,
      ).toBe(true);
      for (const status of ['400', '401', '403', '429', '503']) expect(statuses, name).toContain(status);
      expect(value.responses['401'].description).toContain('`operator_unauthenticated`');
      expect(Object.keys(value.responses['401'].content)).toEqual(['application/problem+json']);
    }
  });

  test('refuses what it does not name', () => {
    for (const { name, value } of operations()) {
      const body = value.requestBody?.content['application/json']?.schema;
      if (body === undefined) continue;
      const objects = [body, ...(body.anyOf ?? [])].filter(({ type }: Json) => type === 'object');
      for (const each of objects) expect([name, each.additionalProperties]).not.toEqual([name, undefined]);
    }
  });
});

test('it names where the gateway is called, and its own version', () => {
  expect(document.openapi).toBe('3.1.0');
  expect(document.servers).toEqual([{ url: 'https://gateway.test' }]);
  expect(document.info.version).toMatch(/^\d+\.\d+\.\d+/);
  expect(JSON.stringify(document)).not.toContain('~kind');
});
