import { expect, test } from 'vitest';
import { createRegistry } from '../../../src/agents/registry.ts';
import { agent } from '../proxy/gateway.ts';

function registry() {
  const opened: string[] = [];
  const closed: string[] = [];
  const agents = createRegistry<{ url: string }>({
    open(_agent, upstream) {
      if (upstream.url === 'http://broken') throw new Error('cannot open');
      opened.push(upstream.url);
      return { url: upstream.url };
    },
    close: (instance) => closed.push(instance.url),
  });
  return { agents, opened, closed };
}

test('an instance is kept over a reload, a removed one closed, a new one opened', () => {
  const { agents, opened, closed } = registry();
  agents.replace([agent({ upstreams: ['http://a', 'http://b'] })]);
  const [a] = agents.get('echo')?.instances ?? [];
  agents.replace([agent({ upstreams: ['http://a', 'http://c'], retries: 3 })]);
  expect(agents.get('echo')?.instances[0]).toBe(a);
  expect(agents.get('echo')?.definition.retries).toBe(3);
  expect(opened).toEqual(['http://a', 'http://b', 'http://c']);
  expect(closed).toEqual(['http://b']);
});

test('a set that cannot be put in place leaves the old one whole', () => {
  const { agents, closed } = registry();
  agents.replace([agent({ upstreams: ['http://a'] })]);
  expect(() => agents.replace([agent({ upstreams: ['http://c', 'http://broken'] })])).toThrow('cannot open');
  expect(() => agents.replace([agent({ upstreams: ['http://a', 'http://a'] })])).toThrow(RangeError);
  expect(() => agents.replace([agent({ upstreams: [] }), agent({ upstreams: [] })])).toThrow(RangeError);
  expect(agents.get('echo')?.instances.map(({ url }) => url)).toEqual(['http://a']);
  expect(closed).toEqual(['http://c']);
});

test.each(['connectMs', 'headersMs', 'bodyIdleMs'] as const)(
  'a changed %s takes effect on a reload',
  (name) => {
    const { agents, closed } = registry();
    const before = agent({ upstreams: ['http://a'] });
    agents.replace([before]);
    agents.replace([{ ...before, timeouts: { ...before.timeouts, [name]: before.timeouts[name] + 1 } }]);
    expect(closed).toEqual(['http://a']);
  },
);
