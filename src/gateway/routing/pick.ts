import type { Instance, RoutedAgent } from './instance.ts';

/** Chooses an instance: see `pickInstance`. */
export type PickInstance = (agent: RoutedAgent, tried: readonly Instance[] | null) => Instance | null;

/**
 * The next instance in turn whose circuit lets a request through and that this request has not tried yet; null when
 * there is none. It does not claim a half-open circuit's probe: the caller does, by `circuit.enter()`, before it yields.
 */
export function pickInstance(agent: RoutedAgent, tried: readonly Instance[] | null): Instance | null {
  const { instances } = agent;
  const count = instances.length;
  for (let step = 0; step < count; step++) {
    const at = (agent.turn + step) % count;
    const instance = instances[at];
    if (instance === undefined || !instance.circuit.permits()) continue;
    if (tried?.includes(instance)) continue;
    agent.turn = (at + 1) % count;
    return instance;
  }
  return null;
}
