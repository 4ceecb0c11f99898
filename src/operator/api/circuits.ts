import type { FastifyInstance } from 'fastify';

/** One circuit, as the breaker shows it. */
export interface CircuitView {
  readonly agentId: string;
  /** The instance's origin. */
  readonly instance: string;
  readonly state: 'closed' | 'open' | 'half-open';
}

/** `GET /v1/circuits`: the state of every instance's circuit. */
export function circuitRoutes(app: FastifyInstance, circuits: () => readonly CircuitView[]): void {
  app.get('/v1/circuits', () => ({
    items: circuits().map(({ agentId, instance, state }) => ({ agent_id: agentId, instance, state })),
  }));
}
