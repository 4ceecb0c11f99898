import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { DECLARATIONS } from '../../src/env-variables.ts';
import { componentProbes } from '../../src/operator/telemetry/component-probes.ts';
import { createMetrics } from '../../src/operator/telemetry/metrics.ts';
import { systemProbes } from '../../src/operator/telemetry/probes.ts';
import { codeSpans, filesBelow, fileUrl, manual, page, section, tableRows } from './markdown.ts';

const PAGE = page('docs/operations.md');
const OURS = /^(?:sage|did|signature)_[a-z_]+(?:_seconds|_total|_ratio)$|^sage_[a-z_]+$/;

interface Metric {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
}

/** What a scrape of a live registry shows of our own metrics. */
async function liveMetrics(): Promise<Metric[]> {
  const metrics = createMetrics({
    isAgent: () => true,
    circuits: () => [],
    nonceTable: () => null,
    redisConnected: () => null,
    database: () => null,
  });
  const text = await metrics.text();
  const types = new Map(
    [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name = '', type = '']) => [name, type]),
  );
  return metrics.registry
    .getMetricsAsArray()
    .map((metric) => ({
      name: metric.name,
      type: types.get(metric.name) ?? '',
      labels: (metric as unknown as { labelNames: string[] }).labelNames.toSorted(),
    }))
    .filter(({ name }) => !/^(?:process|nodejs)_/.test(name));
}

const byName = (a: Metric, b: Metric): number => a.name.localeCompare(b.name);

test('the metrics listed are those that are scraped, with their types and labels', async () => {
  const listed = tableRows(section(PAGE, '## Metrics'))
    .slice(1)
    .map(([name = '', type = '', labels = '']) => ({
      name: name.replaceAll('`', ''),
      type,
      labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label ?? '').sort(),
    }));
  expect(listed.toSorted(byName)).toEqual((await liveMetrics()).toSorted(byName));
});

test('no page names a metric that is not scraped', async () => {
  const live = new Set((await liveMetrics()).map(({ name }) => name));
  // The one other name of that form: a claim of tokens.
  live.add(DECLARATIONS.get('OIDC_ROLE_CLAIM')?.fallback ?? '');
  const pages = [...manual(), page('src/operator/README.md')];
  const wrong = pages.flatMap((from) =>
    codeSpans(from)
      .map((span) => span.replace(/\{.*\}$/, ''))
      .filter((span) => OURS.test(span) && !live.has(span))
      .map((span) => `${from.path}: ${span}`),
  );
  expect(wrong).toEqual([]);
});

test('the checks of health listed are those that are made', () => {
  const chains = () => [{ chainId: 1, state: {} as never, ageMs: 0, nodes: [] }];
  const parts = {
    redis: { status: () => ({}) as never },
    database: () => ({}) as never,
    chains,
    policyRevision: () => '',
    lastFault: () => '',
  };
  const probes = [...componentProbes(parts, () => 0), ...systemProbes('.')];
  const rows = tableRows(section(PAGE, '## Health')).map(([first = '']) => first);
  const listed = rows.flatMap((cell) =>
    [...cell.matchAll(/`([\w-]+:[\w-]+)`/g)].map(([, name]) => name ?? ''),
  );
  for (const probe of probes) probe.close?.();
  expect(listed.sort()).toEqual(probes.map(({ name }) => name).sort());
});

test('the log lines listed are written somewhere', () => {
  const source = filesBelow('src/', '.ts')
    .map((path) => readFileSync(fileUrl(path), 'utf8'))
    .join('\n');
  const listed = tableRows(section(PAGE, '## Log'))
    .slice(1)
    .flatMap(([first = '']) => [...first.matchAll(/`([^`]+)`/g)].map(([, message]) => message ?? ''));
  expect(listed.length).toBeGreaterThan(15);
  expect(listed.filter((message) => !source.includes(`'${message}`))).toEqual([]);
});
