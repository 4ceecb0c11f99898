import { afterAll, beforeAll, expect } from 'vitest';
import { ownPostgres, postgresTest } from '../store/failures/postgres-support.ts';
import { ALLOW_ALL, openGateway, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { newCaller, signed } from './support/callers.ts';
import { send } from './support/clients.ts';

const KEY = 'operator-key-of-at-least-32-characters';
const alice = newCaller();
const postgres = ownPostgres();
let agent: TestAgent;

beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

async function ask(gateway: TestGateway, target: string): Promise<string> {
  const headers = [['authorization', `Bearer ${KEY}`]] as const;
  return (await send(gateway, { method: 'GET', target, headers })).body;
}

postgresTest(
  'PostgreSQL killed under a gateway: requests go on, operators see it, and it heals',
  async () => {
    const server = postgres();
    await using gateway = await openGateway({
      agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
      policy: ALLOW_ALL,
      env: { OPERATOR_API_KEY: KEY, DATABASE_URL: await server.createDatabase() },
    });
    const call = () =>
      send(gateway, signed(alice, gateway.origin, { method: 'GET', target: '/agents/echo/' }));
    const checked = async (status: string): Promise<boolean> =>
      JSON.parse(await ask(gateway, '/health/detailed')).checks['database:latency'][0].status === status;
    expect(await call()).toMatchObject({ status: 200 });
    await until(() => checked('pass'), 'health knows the database');
    expect(await ask(gateway, '/metrics')).toMatch(/^sage_database_up 1$/m);

    await server.kill();
    await until(() => checked('fail'), 'health says that it is lost');
    const metrics = await ask(gateway, '/metrics');
    expect(metrics).toMatch(/^sage_database_up 0$/m);
    expect(metrics).toMatch(/^sage_database_failures_total\{failure="unavailable"\} [1-9]/m);
    expect(await call()).toMatchObject({ status: 200 });
    expect(await send(gateway, { method: 'GET', target: '/health/ready' })).toMatchObject({ status: 200 });

    await server.start();
    await until(() => checked('pass'), 'it is found again');
    expect(await ask(gateway, '/metrics')).toMatch(/^sage_database_up 1$/m);
    const said = JSON.stringify(gateway.lines);
    expect(said).toContain('database lost');
    expect(said).toContain('database answers again');
    expect(said).not.toContain(server.password);
  },
  60_000,
);
