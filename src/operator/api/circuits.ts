import type { FastifyInstance } from 'fastify';
import type { CircuitView } from '../../gateway/breaker/circuit.ts';

/** `GET /v1/circuits`: the state of every instance's circuit. */
export function circuitRoutes(app: FastifyInstance, circuits: () => readonly CircuitView[]): void {
  app.get('/v1/circuits', () => ({
    items: circuits().map(({ agentId, instance, state }) => ({ agent_id: agentId, instance, state })),
  }));
}
