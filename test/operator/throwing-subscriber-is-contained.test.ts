import { expect, test } from 'vitest';
import { createLines, publish, scrape, serve, startGateway } from './support.ts';

test('a record that telemetry cannot read reaches neither the path nor the other subscribers', async () => {
  const lines = createLines();
  const finished: string[] = [];
  const gateway = await startGateway({
    lines,
    tracing: {
      finished(record) {
        finished.push(record.requestId);
        throw new Error('exporter broke');
      },
      close: () => Promise.resolve(),
    },
  });
  const uncaught: unknown[] = [];
  const keep = (error: unknown): void => {
    uncaught.push(error);
  };
  process.on('uncaughtException', keep);
  try {
    publish('sage:request.finished', null);
    publish('sage:circuit', undefined);
    serve({ requestId: 'after' });
    const samples = await scrape(gateway);
    // Metrics, log line and spans each failed on the null; spans failed on the sound record, too.
    expect(samples.get('sage_telemetry_subscriber_errors_total{subscriber="sage:request.finished"}')).toBe(4);
    expect(samples.get('sage_telemetry_subscriber_errors_total{subscriber="sage:circuit"}')).toBe(2);
    expect(samples.get('sage_request_duration_seconds_count{agent="weather"}')).toBe(1);
    expect(finished).toEqual(['after']);
    // Of five failures in all, the 1st, 2nd and 4th are a line.
    expect(lines.all().filter((line) => line.msg === 'telemetry subscriber failed')).toHaveLength(3);
    expect(lines.all().some((line) => line.request_id === 'after')).toBe(true);
    // diagnostics_channel rethrows on the next tick.
    await new Promise((resolve) => setImmediate(resolve));
    expect(uncaught).toEqual([]);
  } finally {
    process.off('uncaughtException', keep);
    await gateway.app.close();
  }
});
