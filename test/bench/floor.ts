/**
 * The floor every figure is held against: bare `node:http` and undici's `dispatch`, all fields forwarded both ways and
 * nothing else. Takes the upstream's origin as its argument; prints its port.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';

const pool = new Pool(process.argv[2] ?? '', { connections: 128, pipelining: 1 });

const server = createServer((req, res) => {
  const hasBody =
    req.headers['content-length'] !== undefined || req.headers['transfer-encoding'] !== undefined;
  pool.dispatch(
    {
      path: req.url ?? '/',
      method: req.method ?? 'GET',
      headers: req.rawHeaders,
      body: hasBody ? req : null,
    },
    {
      onRequestStart(controller) {
        res.on('close', () => {
          if (!res.writableFinished) controller.abort(new Error('the caller went away'));
        });
      },
      onResponseStart(_controller, status, headers) {
        res.writeHead(status, headers);
      },
      onResponseData(controller, chunk) {
        if (res.write(chunk)) return;
        controller.pause();
        res.once('drain', () => controller.resume());
      },
      onResponseEnd() {
        res.end();
      },
      onResponseError() {
        if (!res.headersSent) res.writeHead(502).end();
        else res.destroy();
      },
    },
  );
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () =>
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port })),
);
