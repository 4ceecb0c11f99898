/** `@fastify/http-proxy` in front of the upstream named by argv[2]; prints its port. */
import httpProxy from '@fastify/http-proxy';
import fastify from 'fastify';

const app = fastify();
await app.register(httpProxy, {
  upstream: process.argv[2] ?? '',
  prefix: '/agents/open',
  undici: { connections: 128, pipelining: 1 },
});
await app.listen({ host: '127.0.0.1', port: 0 });
const address = app.server.address();
console.log(JSON.stringify({ port: typeof address === 'object' ? address?.port : null }));
