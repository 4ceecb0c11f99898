import type { FastifyInstance } from 'fastify';
import type { Metrics } from '../telemetry/metrics.ts';

/** `GET /metrics`: Prometheus' text format 0.0.4. */
export function metricsRoutes(app: FastifyInstance, metrics: Metrics): void {
  app.get('/metrics', { config: { scope: 'telemetry:read' } }, async (_request, reply) => {
    reply.type(metrics.contentType);
    return metrics.text();
  });
}
