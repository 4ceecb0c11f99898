import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALLOW_ALL, openGateway, type TestGateway } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import { send, TRANSPORTS } from './support/clients.ts';

const alice = newCaller();
let agent: TestAgent;

beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

const open = (env: Record<string, string> = {}): Promise<TestGateway> =>
  openGateway({ agents: [`{ id: echo, upstreams: ["${agent.url}"] }`], policy: ALLOW_ALL, env });

/** Signed for `origin`, sent with its authority, wherever the gateway listens. */
function callTo(origin: string): Call {
  const call = signed(alice, origin, { method: 'GET', target: '/agents/echo/' });
  return { ...call, authority: new URL(origin).host };
}

describe.each(TRANSPORTS)('over %s', (transport) => {
  describe('with PUBLIC_ORIGINS', () => {
    let gateway: TestGateway;
    beforeAll(async () => {
      gateway = await open({ PUBLIC_ORIGINS: 'https://gateway.example, https://agents.example:8443' });
    });
    afterAll(() => gateway.close());

    test.each(['https://gateway.example', 'https://agents.example:8443'])('%s is served', async (origin) => {
      expect(await send(gateway, callTo(origin), transport)).toMatchObject({ status: 200 });
    });

    test('in any case, with the default port or without', async () => {
      for (const authority of ['Gateway.Example', 'gateway.example:443']) {
        const call = { ...callTo('https://gateway.example'), authority };
        expect(await send(gateway, call, transport), authority).toMatchObject({ status: 200 });
      }
    });

    test.each(['https://elsewhere.example', 'https://gateway.example:444', 'https://agents.example'])(
      '%s is 421',
      async (origin) => {
        const before = agent.begun();
        const answer = await send(gateway, callTo(origin), transport);
        expect(answer).toMatchObject({ status: 421, code: 'authority_unknown' });
        expect(agent.begun()).toBe(before);
      },
    );

    test('the address it listens on is none of them', async () => {
      expect(await send(gateway, callTo(gateway.origin), transport)).toMatchObject({ status: 421 });
    });

    test('a request for one of them, sent to another, is not the one that was signed', async () => {
      const call = { ...callTo('https://gateway.example'), authority: 'agents.example:8443' };
      expect(await send(gateway, call, transport)).toMatchObject({ status: 401, code: 'signature_invalid' });
    });

    test('the scheme is the published one, not the one of the connection', async () => {
      const call = { ...callTo('http://gateway.example'), authority: 'gateway.example' };
      expect(await send(gateway, call, transport)).toMatchObject({ status: 401, code: 'signature_invalid' });
    });
  });

  test('without it, the loopback names of its port', async () => {
    await using gateway = await open();
    for (const host of ['127.0.0.1', 'localhost', '[::1]']) {
      const call = callTo(`http://${host}:${gateway.port}`);
      expect(await send(gateway, call, transport), host).toMatchObject({ status: 200 });
    }
    expect(await send(gateway, callTo('http://evil.example'), transport)).toMatchObject({ status: 421 });
  });
});
