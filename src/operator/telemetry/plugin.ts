import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type { Logger } from 'pino';
import { createEventLog } from './event-log.ts';
import { type Events, listen } from './events.ts';
import type { Metrics } from './metrics.ts';
import { createRequestLog } from './request-log.ts';
import type { Tracing } from './tracing.ts';

export interface TelemetryOptions {
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Null when `OTEL_EXPORTER_OTLP_ENDPOINT` is not set. */
  readonly tracing: Tracing | null;
}

/** Subscribes to what the other rooms publish and lets go when the server has closed. Register it first. */
function telemetry(app: FastifyInstance, options: TelemetryOptions, done: () => void): void {
  const { metrics, logger, tracing } = options;
  const requests = createRequestLog(logger, metrics.requestLineSuppressed);
  const events = createEventLog(logger);
  let failures = 0;
  const failed = (name: keyof Events, error: unknown): void => {
    metrics.subscriberFailed(name);
    failures++;
    // A fault that comes with every request must not fill the log: the 1st, 2nd, 4th, 8th and so on are a line.
    if ((failures & (failures - 1)) !== 0) return;
    logger.error({ err: error, channel: name, failures }, 'telemetry subscriber failed');
  };
  // Each a subscription of its own: one that throws takes nothing from the others.
  const subscriptions = [
    listen('sage:request.started', metrics.requestStarted, failed),
    listen('sage:request.finished', metrics.requestFinished, failed),
    listen('sage:request.finished', requests.finished, failed),
    listen('sage:did.resolution', metrics.didResolved, failed),
    listen('sage:did.purge', metrics.didPurged, failed),
    listen('sage:did.read_ahead', metrics.didReadAhead, failed),
    listen('sage:fetch', metrics.fetched, failed),
    listen('sage:circuit', metrics.circuitChanged, failed),
    listen('sage:circuit', events.circuitChanged, failed),
    listen('sage:policy.reloaded', metrics.policyReloaded, failed),
    listen('sage:policy.refused', metrics.policyRefused, failed),
    listen('sage:chain.head', metrics.chainHead, failed),
    listen('sage:rpc.disagreement', metrics.rpcDisagreed, failed),
    listen('sage:store.call', metrics.storeCalled, failed),
    listen('sage:chain.head', events.chainHead, failed),
  ];
  if (tracing !== null) subscriptions.push(listen('sage:request.finished', tracing.finished, failed));
  app.addHook('onClose', async () => {
    for (const stop of subscriptions) stop();
    await tracing?.close();
  });
  done();
}

export const telemetryPlugin = fp(telemetry, { name: 'sage-telemetry', fastify: '5.x' });
