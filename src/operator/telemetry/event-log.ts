/** Log lines for what happens to circuits and chains: rare events, one line each. Policies log their own. */
import type { Logger } from 'pino';
import type { CircuitView } from '../../gateway/breaker/circuit.ts';
import type { ChainHead } from '../../trust/key-source.ts';

export interface EventLog {
  readonly circuitChanged: (event: CircuitView) => void;
  readonly chainHead: (event: ChainHead) => void;
}

/** Chains remembered, so that only a change of connection is a line; heads come with every block. */
const CHAINS_MAX = 32;

/** Lines through `logger`, which redacts what the events carry. */
export function createEventLog(logger: Logger): EventLog {
  const connected = new Map<string, boolean>();
  return {
    circuitChanged({ agentId, instance, state }) {
      const level = state === 'closed' ? 'info' : 'warn';
      logger[level]({ agent: agentId, instance, state }, 'circuit changed');
    },
    chainHead(event) {
      const chain = String(event.chainId);
      const before = connected.get(chain);
      if (before === event.connected || (before === undefined && connected.size >= CHAINS_MAX)) return;
      connected.set(chain, event.connected);
      if (event.connected) logger.info({ chain }, 'chain connected');
      else logger.warn({ chain }, 'chain not reachable');
    },
  };
}
