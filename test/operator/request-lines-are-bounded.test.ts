import { expect, test } from 'vitest';
import { createLogger } from '../../src/operator/telemetry/logging.ts';
import { createRequestLog } from '../../src/operator/telemetry/request-log.ts';
import { createLines, record, scrape, serve, startGateway } from './support.ts';

test('a flood of requests is counted in full and logged in part', async () => {
  const lines = createLines();
  const gateway = await startGateway({ lines });
  for (let i = 0; i < 2500; i++) serve({ finishedAt: 5000 + i / 10 });
  serve({ finishedAt: 6000 });
  const samples = await scrape(gateway);
  await gateway.app.close();
  expect(samples.get('sage_request_log_suppressed_total')).toBe(500);
  expect(samples.get('sage_request_duration_seconds_count{agent="weather"}')).toBe(2501);
  expect(lines.all().filter((line) => line.msg === 'request')).toHaveLength(2001);
  expect(lines.all()).toContainEqual(
    expect.objectContaining({ msg: 'request lines left out', suppressed: 500 }),
  );
});

const levels: [status: number, code: string, level: string][] = [
  [200, '', 'info'],
  [101, '', 'info'],
  [404, '', 'warn'],
  [401, 'nonce_replayed', 'warn'],
  [503, 'circuit_open', 'error'],
  [500, '', 'error'],
];
test.each(levels)('status %i with code "%s" is %s', (status, code, level) => {
  const lines = createLines();
  const logger = createLogger({ level: 'info', destination: lines });
  createRequestLog(logger, () => undefined).finished(record({ status, code }));
  expect(lines.all()).toEqual([expect.objectContaining({ level, msg: 'request' })]);
});

test('LOG_LEVEL silences what is below it', () => {
  const lines = createLines();
  const log = createRequestLog(createLogger({ level: 'warn', destination: lines }), () => undefined);
  log.finished(record());
  log.finished(record({ status: 403, code: 'policy_denied' }));
  expect(lines.all().map((line) => line.level)).toEqual(['warn']);
});

test('what a stranger can make long is cut', () => {
  const lines = createLines();
  const log = createRequestLog(createLogger({ level: 'info', destination: lines }), () => undefined);
  const long = 'x'.repeat(100_000);
  log.finished(
    record({ path: long, method: long, internalReason: long, shadowRules: Array<string>(500).fill('r') }),
  );
  expect(lines.text().length).toBeLessThan(4096);
});
