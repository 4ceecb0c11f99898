import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Health, HealthStatus } from '../telemetry/health.ts';

/** draft-inadarei-api-health-check-06, section 2. */
const MEDIA_TYPE = 'application/health+json';

/** 200 for pass and warn, 503 for fail (section 3.1). */
function answer(reply: FastifyReply, status: HealthStatus, body: object): FastifyReply {
  return (
    reply
      .code(status === 'fail' ? 503 : 200)
      .header('cache-control', 'no-store')
      .header('content-type', MEDIA_TYPE)
      // As bytes, because Fastify adds a charset to the type of a text, and JSON types have none (RFC 8259, section 11).
      .send(Buffer.from(JSON.stringify(body)))
  );
}

/** `/health/live` and `/health/ready`: open to all, and so they say nothing but the state. */
export function openHealthRoutes(app: FastifyInstance, health: Health): void {
  // Whatever can answer is alive; a dependency that is down is no reason to be restarted.
  app.get('/health/live', (_request, reply) => answer(reply, 'pass', { status: 'pass' }));
  app.get('/health/ready', (_request, reply) => {
    const status = health.ready() ? 'pass' : 'fail';
    return answer(reply, status, { status });
  });
}

/** `/health/detailed`: for operators. */
export function detailedHealthRoutes(app: FastifyInstance, health: Health): void {
  app.get('/health/detailed', { config: { scope: 'telemetry:read' } }, (_request, reply) => {
    const snapshot = health.snapshot();
    return answer(reply, snapshot.status, snapshot);
  });
}
