/** The agent behind everything that is measured: a small JSON answer to every request. Prints its port. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const BODY = Buffer.from(
  JSON.stringify({ city: 'Vienna', temperature_c: 21.5, humidity: 0.43, forecast: ['sun', 'sun', 'rain'] }),
);

const server = createServer((req, res) => {
  req.resume();
  res.writeHead(200, {
    'content-type': 'application/json',
    'content-length': BODY.length,
    'cache-control': 'no-store',
  });
  res.end(BODY);
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () =>
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port })),
);
