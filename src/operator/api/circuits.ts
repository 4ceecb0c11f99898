import { Type } from 'typebox';
import type { CircuitView } from '../../gateway/breaker/circuit.ts';
import type { OperatorApp } from './route.ts';

export interface CircuitPorts {
  readonly list: () => readonly CircuitView[];
}

const Circuit = Type.Object({ agent_id: Type.String(), instance: Type.String(), state: Type.String() });

/** `GET /v1/circuits`: the state of every instance's circuit. */
export function circuitRoutes(app: OperatorApp, ports: CircuitPorts): void {
  app.get(
    '/circuits',
    {
      config: { scope: 'circuits:read' },
      schema: {
        operationId: 'listCircuits',
        summary: 'The state of every instance’s circuit',
        tags: ['circuits'],
        response: { 200: Type.Object({ items: Type.Array(Circuit) }) },
      },
    },
    () => ({
      items: ports.list().map(({ agentId, instance, state }) => ({ agent_id: agentId, instance, state })),
    }),
  );
}
