import { readdirSync, readFileSync } from 'node:fs';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { anchors, codeSpans, page, section, tableRows } from '../docs/markdown.ts';
import { startAgent, type TestAgent } from '../e2e/support/agent.ts';
import { type Call, newCaller, registerCaller, settle, signed } from '../e2e/support/callers.ts';
import { openWebSocket, send } from '../e2e/support/clients.ts';
import { CLUSTER_SECRET, openGateway, policyOf, type TestGateway, until } from '../support/gateway.ts';
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts';
import { startChain, type TestChain } from '../trust/chain/fixture.ts';
import { placeOf } from './support/compose.ts';
import { readScrape, type Selector, selectorsOf } from './support/promql.ts';

const OPERATOR_KEY = 'b7Kq2mXw9TzR4vLs8NcY1hGd6FpJ3eUa';
/** Prometheus adds these to whatever it scrapes. */
const TARGET_LABELS = ['job', 'instance'];
/** Prometheus' own, about each target. */
const OF_PROMETHEUS = new Set(['up']);
/** Has no series as long as nothing of ours is broken. */
const ONLY_WHEN_BROKEN = new Map([['sage_telemetry_subscriber_errors_total', ['subscriber']]]);
const POLICY = policyOf(
  'rules:\n  - { id: no-delete, effect: deny, match: { method: DELETE } }\n  - { id: all, effect: allow, match: { path: /agents/** } }',
);

const Rules = Type.Object({
  groups: Type.Array(
    Type.Object({
      name: Type.String(),
      rules: Type.Array(
        Type.Object({
          record: Type.Optional(Type.String()),
          alert: Type.Optional(Type.String()),
          expr: Type.String(),
          for: Type.Optional(Type.String()),
          labels: Type.Optional(Type.Object({ severity: Type.String() })),
          annotations: Type.Optional(Type.Object({ summary: Type.String(), runbook_url: Type.String() })),
        }),
      ),
    }),
  ),
});
const rules = Value.Parse(
  Rules,
  parse(readFileSync(placeOf('deploy/prometheus/rules.yml'), 'utf8')),
).groups.flatMap((group) => group.rules);
const alerts = rules.filter(({ alert }) => alert !== undefined);

const Panel = Type.Object({
  id: Type.Number(),
  title: Type.String(),
  type: Type.String(),
  description: Type.Optional(Type.String()),
  gridPos: Type.Object({ x: Type.Number(), y: Type.Number(), w: Type.Number(), h: Type.Number() }),
  targets: Type.Optional(Type.Array(Type.Object({ expr: Type.String(), refId: Type.String() }))),
});
const Dashboard = Type.Object({
  uid: Type.String(),
  title: Type.String(),
  panels: Type.Array(Panel),
  templating: Type.Object({
    list: Type.Array(Type.Object({ name: Type.String(), definition: Type.Optional(Type.String()) })),
  }),
});
const DASHBOARDS = readdirSync(placeOf('deploy/grafana/dashboards'));
const dashboards = DASHBOARDS.map((file) =>
  Value.Parse(Dashboard, JSON.parse(readFileSync(placeOf(`deploy/grafana/dashboards/${file}`), 'utf8'))),
);

/** As Grafana puts its variables in, when all is chosen. */
const filled = (expression: string): string =>
  expression.replaceAll('$__rate_interval', '5m').replace(/\$(\w+)/g, '.*');

interface Asked extends Selector {
  readonly where: string;
}
const asked: Asked[] = [
  ...rules.map(({ record, alert = record ?? '', expr }) => ({ where: alert, expr })),
  ...dashboards.flatMap(({ title, panels }) =>
    panels.flatMap((panel) =>
      (panel.targets ?? []).map(({ expr }) => ({ where: `${title}: ${panel.title}`, expr: filled(expr) })),
    ),
  ),
].flatMap(({ where, expr }) => selectorsOf(expr).map((selector) => ({ where, ...selector })));

let agent: TestAgent;
let redis: TestRedis;
let chain: TestChain;
let gateway: TestGateway;
let series: Map<string, Map<string, Set<string>>>;

/** Calls of every kind that the dashboards tell apart. */
async function traffic(): Promise<void> {
  const alice = newCaller();
  const onChain = await registerCaller(chain);
  await settle(chain.anvil);
  const get = (target: string): Call => signed(alice, gateway.origin, { method: 'GET', target });
  const body = Buffer.from('{}');
  await send(gateway, signed(alice, gateway.origin, { method: 'POST', target: '/agents/steady/', body }));
  await send(gateway, get('/agents/steady/fails'));
  const once = get('/agents/steady/');
  for (const call of [once, once, { method: 'GET', target: '/agents/steady/' }]) await send(gateway, call);
  await send(gateway, signed(alice, gateway.origin, { method: 'DELETE', target: '/agents/steady/' }));
  const chained = (): Call => signed(onChain, gateway.origin, { method: 'GET', target: '/agents/steady/' });
  await until(async () => (await send(gateway, chained())).status === 200, 'the key on the chain counts');
  await send(gateway, chained(), 'h2');
  for (let tries = 0; tries < 8; tries += 1) await send(gateway, get('/agents/gone/'));
  const socket = await openWebSocket(gateway, get('/agents/steady/'));
  socket.close();
  // From another address, since it will be shut out.
  const guess = (key: string): Call => ({
    method: 'GET',
    target: '/metrics',
    headers: [
      ['authorization', `Bearer ${key}`],
      ['x-forwarded-for', '203.0.113.9'],
    ],
  });
  for (let tries = 0; tries < 11; tries += 1) await send(gateway, guess(`wrong${tries}`));
}

beforeAll(async () => {
  if (!redisAvailable()) return;
  agent = await startAgent({
    answer: (request, response) => void response.writeHead(request.url === '/fails' ? 500 : 200).end('ok'),
  });
  redis = await startRedis();
  chain = await startChain();
  gateway = await openGateway({
    agents: [
      `{ id: steady, upstreams: ["${agent.url}"] }`,
      '{ id: gone, upstreams: ["http://127.0.0.1:9"] }',
    ],
    policy: POLICY,
    more: `chains: [{ id: ${chain.anvil.chainId}, registries: [{ address: "${chain.registry}" }] }]`,
    env: {
      REDIS_URL: redis.url,
      CLUSTER_SECRET,
      CHAIN_RPC_URLS: chain.anvil.httpUrl,
      CHAIN_POLL_INTERVAL_MS: '50',
      OPERATOR_API_KEY: OPERATOR_KEY,
      TRUSTED_PROXIES: '127.0.0.1',
    },
  });
  await traffic();
  const scrape = await fetch(new URL('/metrics', gateway.origin), {
    headers: { authorization: `Bearer ${OPERATOR_KEY}` },
  });
  expect(scrape.status).toBe(200);
  series = readScrape(await scrape.text());
  for (const [name, labels] of ONLY_WHEN_BROKEN)
    series.set(name, new Map(labels.map((label) => [label, new Set<string>()])));
  for (const { record, expr } of rules) {
    if (record === undefined) continue;
    const grouped = selectorsOf(expr).flatMap((selector) => [...selector.grouped]);
    const labels = grouped.filter((label) => label !== 'le');
    series.set(record, new Map(labels.map((label) => [label, new Set<string>()])));
  }
}, 60_000);
afterAll(async () => {
  await gateway?.close();
  await chain?.[Symbol.asyncDispose]();
  await redis?.stop();
  await agent?.stop();
});

describe.skipIf(!redisAvailable())('in the metrics of a gateway that has seen traffic', () => {
  test('there is each that is asked for', () => {
    expect(asked.length).toBeGreaterThan(80);
    const missing = asked.filter(({ metric }) => !series.has(metric) && !OF_PROMETHEUS.has(metric));
    expect(missing.map(({ where, metric }) => `${where}: ${metric}`)).toEqual([]);
  });

  test('with each label that it is chosen or grouped by', () => {
    const missing = asked.flatMap(({ where, metric, matchers, grouped }) => {
      const labels = new Set([...TARGET_LABELS, ...(series.get(metric)?.keys() ?? [])]);
      // `le` is what histogram_quantile needs, of buckets only.
      return [...matchers.map(({ label }) => label), ...grouped]
        .filter((label) => !labels.has(label))
        .map((label) => `${where}: ${metric} has no ${label}`);
    });
    expect(missing).toEqual([]);
  });

  test('and each value that a label is chosen by is one that it can have', () => {
    const metrics = section(page('docs/operations.md'), '## Metrics');
    const documented = (metric: string): string[] => {
      const row = tableRows(metrics).find(([name = '']) => metric.startsWith(name.replaceAll('`', '')));
      return [...(row ?? []).join(' ').matchAll(/`([\w-]+)`/g)].map(([, value]) => value ?? '');
    };
    const codes = codeSpans(page('docs/errors.md'));
    const wrong = asked.flatMap(({ where, metric, matchers }) =>
      matchers
        .filter(({ label }) => !TARGET_LABELS.includes(label))
        .flatMap(({ label, operator, value }) => {
          const known = [
            ...(series.get(metric)?.get(label) ?? []),
            ...(label === 'code' ? codes : documented(metric)),
          ];
          const alternatives = operator.endsWith('~') ? value.split('|') : [value];
          return alternatives
            .filter((each) => !known.some((one) => new RegExp(`^(?:${each})$`).test(one)))
            .map((each) => `${where}: ${metric} has no ${label} ${each}`);
        }),
    );
    expect(wrong).toEqual([]);
  });

  test('what alerts watch is counted when it happens', () => {
    const codes = series.get('sage_refusals_total')?.get('code') ?? new Set();
    for (const code of [
      'nonce_replayed',
      'signature_required',
      'policy_denied',
      'circuit_open',
      'operator_attempts_limited',
    ])
      expect(codes, code).toContain(code);
    expect(series.get('sage_requests_total')?.get('outcome')).toContain('agent_5xx');
  });

  test('what the dashboards’ lists are filled from is there', () => {
    const queries = dashboards.flatMap(({ templating }) =>
      templating.list.map(({ definition }) => definition ?? ''),
    );
    for (const query of queries.filter((each) => each !== '')) {
      const [, expression = '', label = ''] = /^label_values\((.+), (\w+)\)$/.exec(query) ?? [];
      const [selector] = selectorsOf(filled(expression));
      const labels = [...TARGET_LABELS, ...(series.get(selector?.metric ?? '')?.keys() ?? [])];
      expect(labels, query).toContain(label);
    }
  });
});

describe('every alert', () => {
  const operations = page('docs/operations.md');

  test('leads to a place that says what to do', () => {
    const there = anchors(operations);
    for (const { alert = '', annotations, labels } of alerts) {
      const [file, anchor = ''] = annotations?.runbook_url.split('#') ?? [];
      expect(file, alert).toBe('docs/operations.md');
      expect(there, alert).toContain(anchor);
      expect(anchor).toBe(alert.toLowerCase());
      expect(['page', 'ticket']).toContain(labels?.severity);
    }
  });

  test('and no such place is without its alert', () => {
    const headings = [...section(operations, '## Alerts').matchAll(/^### (\w+)$/gm)].map(([, name]) => name);
    expect(headings).toEqual(alerts.map(({ alert }) => alert));
  });

  test('of a target names the job that is scraped', () => {
    const Scrape = Type.Object({ scrape_configs: Type.Array(Type.Object({ job_name: Type.String() })) });
    const prometheus = Value.Parse(
      Scrape,
      parse(readFileSync(placeOf('deploy/prometheus/prometheus.yml'), 'utf8')),
    );
    const jobs = prometheus.scrape_configs.map(({ job_name }) => job_name);
    const named = asked.flatMap(({ matchers }) =>
      matchers.filter(({ label, value }) => label === 'job' && value !== '.*'),
    );
    expect(named.length).toBeGreaterThan(0);
    for (const { value } of named) expect(jobs).toContain(value);
  });
});

describe.each(dashboards)('the dashboard $title', ({ uid, panels }) => {
  test('has panels that say what they show, side by side', () => {
    expect(uid).toMatch(/^sage-/);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { title, type, description = '', targets = [] } of panels) {
      if (type === 'row') continue;
      expect(description, title).not.toBe('');
      expect(targets.length, title).toBeGreaterThan(0);
    }
    const taken = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
    );
    expect(new Set(taken).size).toBe(taken.length);
  });
});

test('what is no PromQL is not taken for it', () => {
  expect(() => selectorsOf('sum by (agent (rate(sage_requests_total[5m]))')).toThrow(/no PromQL/);
});
