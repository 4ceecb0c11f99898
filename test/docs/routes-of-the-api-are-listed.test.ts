import { expect, test } from 'vitest';
import { OPERATOR_KEY, operate } from '../e2e/support/operator.ts';
import { openGateway } from '../support/gateway.ts';
import { page, section, tableRows } from './markdown.ts';

/** Route -> scope, as the manual has them. */
function listed(): Record<string, string> {
  const rows = tableRows(section(page('docs/operator-api.md'), '## Routes'));
  return Object.fromEntries(
    rows.slice(1).map(([route = '', scope = '']) => [route.replaceAll('`', ''), scope.replaceAll('`', '')]),
  );
}

test('the manual lists the routes of the document with their scopes, and no other', async () => {
  await using gateway = await openGateway({
    agents: ['{ id: echo, upstreams: ["http://127.0.0.1:9"] }'],
    env: { OPERATOR_API_KEY: OPERATOR_KEY },
    atOnce: true,
  });
  const { body } = await operate(gateway, 'GET', '/v1/openapi.json');
  const paths = body.paths as Record<string, Record<string, { security: { bearer?: string[] }[] }>>;
  const served = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { security }]) => [
      `${method.toUpperCase()} ${path}`,
      security[0]?.bearer?.[0] ?? 'any role',
    ]),
  );
  expect(served.length).toBeGreaterThan(25);
  expect(listed()).toEqual(Object.fromEntries(served));
});
