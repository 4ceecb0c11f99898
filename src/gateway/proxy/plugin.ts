import { performance } from 'node:perf_hooks';
import fp from 'fastify-plugin';
import { createDeliver, type Deliver } from './deliver.ts';
import { OpenExchanges } from './open-exchanges.ts';
import { createUpstreams, type Upstreams } from './pool.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** Delivers an identified and allowed exchange on a hijacked reply. */
    deliver: Deliver;
    /** What is open towards callers, for revocation and drain; WebSockets register here as well. */
    exchanges: OpenExchanges;
    /** Connection pools, one per instance: opened and closed by routing. */
    upstreams: Upstreams;
  }
}

export default fp(
  async (app) => {
    const now = (): number => performance.now();
    const exchanges = new OpenExchanges(now, Date.now);
    const upstreams = createUpstreams();
    app.decorate('exchanges', exchanges);
    app.decorate('upstreams', upstreams);
    app.decorate('deliver', createDeliver({ exchanges, pick: app.pickInstance, now }));
    app.addHook('onClose', async () => {
      exchanges.stop();
      await upstreams.destroy();
    });
  },
  {
    name: 'sage-proxy',
    fastify: '5.x',
    dependencies: ['sage-routing'],
    decorators: { fastify: ['pickInstance'] },
  },
);
