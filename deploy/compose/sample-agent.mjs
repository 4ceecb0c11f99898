/** The agent of docker-compose.yml: tells whoever calls what the gateway has proven about them. */
import { createServer } from 'node:http';

const PORT = Number(process.env.PORT ?? 9100);
const server = createServer((request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(
    JSON.stringify({
      forecast: 'clear',
      path: request.url,
      caller: request.headers['x-sage-verified-did'] ?? null,
    }),
  );
});
server.listen(PORT, () => console.log(`sample agent listening on ${server.address().port}`));
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
