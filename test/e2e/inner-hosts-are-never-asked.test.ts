import { expect, test } from 'vitest';
import { ALLOW_ALL, openGateway } from '../support/gateway.ts';
import { startAgent } from './support/agent.ts';
import { signed } from './support/callers.ts';
import { send } from './support/clients.ts';
import { hostedCaller, startDidHost } from './support/did-host.ts';

test('a caller cannot make the gateway reach into its own network, and is not told what is there', async () => {
  await using agent = await startAgent();
  await using host = await startDidHost();
  await using gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: ALLOW_ALL,
  });
  const caller = hostedCaller(host.did('caller'));
  host.publish('caller', { 'key-1': caller.multikey });
  const answer = await send(
    gateway,
    signed(caller, gateway.origin, { method: 'GET', target: '/agents/echo/' }),
  );
  expect(answer).toMatchObject({ status: 503, code: 'did_unresolvable' });
  expect(answer.body).not.toMatch(/127\.0\.0\.1|address|fetch/);
  expect(host.asked).toEqual([]);
});
