import { afterAll, beforeAll, expect, test } from 'vitest';
import { ALLOW_ALL, openGateway, type TestGateway } from '../support/gateway.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import { send, TRANSPORTS } from './support/clients.ts';

const alice = newCaller();
let gateway: TestGateway;

beforeAll(async () => {
  gateway = await openGateway({
    agents: ['{ id: echo, upstreams: ["http://127.0.0.1:1"] }'],
    policy: ALLOW_ALL,
    env: { EXPLAIN_REFUSALS: 'true', SAGE_ENV: 'development' },
  });
});
afterAll(() => gateway.close());

const get = (): Call => signed(alice, gateway.origin, { method: 'GET', target: '/agents/echo/a?b=c' });

test.each(TRANSPORTS)('over %s: the base that was expected', async (transport) => {
  const answer = await send(gateway, { ...get(), target: '/agents/echo/other' }, transport);
  const problem = JSON.parse(answer.body);
  expect(problem).toMatchObject({ status: 401, code: 'signature_invalid' });
  expect(problem.signature_base).toMatch(
    new RegExp(`^"@method": GET\n"@target-uri": ${gateway.origin}/agents/echo/other\n"@signature-params": `),
  );
  expect(problem.explanation).toContain('/agents/echo/other');
});

test('the component that fails', async () => {
  const call = get();
  const headers = (call.headers ?? []).map(
    ([name, value]) =>
      [name, name === 'signature-input' ? value.replace(' "@target-uri"', '') : value] as const,
  );
  const problem = JSON.parse((await send(gateway, { ...call, headers })).body);
  expect(problem).toMatchObject({ code: 'coverage_insufficient' });
  expect(String(problem.component)).toContain('@');
});
