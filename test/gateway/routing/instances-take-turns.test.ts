import { expect, test } from 'vitest';
import type { Instance, RoutedAgent } from '../../../src/gateway/routing/instance.ts';
import { pickInstance } from '../../../src/gateway/routing/pick.ts';
import { agent } from '../proxy/gateway.ts';

/** Instances whose circuits say what `open` says; a real circuit is tried in test/gateway/breaker. */
function routed(open: ReadonlySet<string>): RoutedAgent {
  const names = ['a', 'b', 'c'];
  const instances = names.map(
    (origin) => ({ origin, circuit: { permits: () => !open.has(origin) } }) as unknown as Instance,
  );
  return { definition: agent({ upstreams: names }), instances, turn: 0 };
}

test('each instance in turn', () => {
  const agents = routed(new Set());
  const seen = Array.from({ length: 7 }, () => pickInstance(agents, null)?.origin);
  expect(seen).toEqual(['a', 'b', 'c', 'a', 'b', 'c', 'a']);
});

test('an open circuit is passed over and comes back when it closes', () => {
  const open = new Set(['b']);
  const agents = routed(open);
  expect([1, 2, 3, 4].map(() => pickInstance(agents, null)?.origin)).toEqual(['a', 'c', 'a', 'c']);
  open.clear();
  expect([1, 2, 3].map(() => pickInstance(agents, null)?.origin)).toEqual(['a', 'b', 'c']);
});

test('what was tried is not tried again', () => {
  const agents = routed(new Set(['c']));
  const [a, b] = agents.instances as [Instance, Instance];
  expect(pickInstance(agents, [a])?.origin).toBe('b');
  expect(pickInstance(agents, [a, b])).toBeNull();
});
