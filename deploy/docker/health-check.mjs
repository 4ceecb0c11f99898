/**
 * The container's health check: exit code 0 when the gateway in it is ready, 1 when it is not. It asks on loopback, so
 * that the name in the certificate is no question: who answers there is this container's own process.
 */
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';

const { HOST = '127.0.0.1', PORT = '8080', TLS_CERT_FILE = '' } = process.env;
/** Below the timeout of the Dockerfile's HEALTHCHECK. */
const TIMEOUT_MS = 2_500;

const everywhere = HOST === '0.0.0.0' || HOST === '::';
const request = (TLS_CERT_FILE === '' ? getHttp : getHttps)(
  {
    host: everywhere ? '127.0.0.1' : HOST,
    port: PORT,
    path: '/health/ready',
    rejectUnauthorized: false,
    timeout: TIMEOUT_MS,
  },
  (response) => process.exit(response.statusCode === 200 ? 0 : 1),
);
request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
request.on('error', (error) => {
  process.stderr.write(`not ready: ${error.message}\n`);
  process.exit(1);
});
