import { afterAll, beforeAll, expect } from 'vitest';
import { ownPostgres, postgresTest } from '../store/failures/postgres-support.ts';
import { openGateway, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { send } from './support/clients.ts';
import { OPERATOR_KEY, operate } from './support/operator.ts';

const postgres = ownPostgres();
let agent: TestAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

async function metric(gateway: TestGateway, name: string): Promise<number> {
  const headers = { authorization: `Bearer ${OPERATOR_KEY}` };
  const text = await (await fetch(`${gateway.origin}/metrics`, { headers })).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length));
}

postgresTest(
  'decisions made while PostgreSQL is away are shown at once, and written when it is back, each once',
  async () => {
    const server = postgres();
    await using gateway = await openGateway({
      agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
      env: { OPERATOR_API_KEY: OPERATOR_KEY, DATABASE_URL: await server.createDatabase() },
      atOnce: true,
    });
    const call = async (): Promise<string> =>
      String((await send(gateway, { method: 'GET', target: '/agents/echo/' })).headers['x-request-id']);
    const one = (id: string) => operate(gateway, 'GET', `/v1/decisions/${id}`);
    await call();
    await until(async () => (await metric(gateway, 'sage_decisions_written_total')) === 1, 'it is written');

    await server.kill();
    const during: string[] = [];
    for (let i = 0; i < 20; i++) during.push(await call());
    for (const id of during) expect(await one(id)).toMatchObject({ status: 200, body: { request_id: id } });
    const page = await operate(gateway, 'GET', '/v1/decisions');
    expect(page).toMatchObject({ status: 503, body: { code: 'store_unavailable' } });
    expect(page.headers.get('retry-after')).toBe('5');
    const waits = () => gateway.lines.some(({ msg }) => msg === 'decisions wait for the database');
    await until(waits, 'the log says that they wait');

    await server.start();
    await until(
      async () => (await metric(gateway, 'sage_decisions_written_total')) === 21,
      'all are written',
      20_000,
    );
    const { body } = await operate(gateway, 'GET', '/v1/decisions?limit=500');
    const listed = (body.items as { request_id: string }[]).map(({ request_id }) => request_id);
    expect(listed.slice(0, 20)).toEqual(during.toReversed());
    expect(listed.length).toBe(21);
    expect(await metric(gateway, 'sage_decisions_dropped_total{reason="store"}')).toBe(0);
    expect(JSON.stringify(gateway.lines)).toContain('decisions are written again');
  },
  60_000,
);
