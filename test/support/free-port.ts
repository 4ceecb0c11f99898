import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port of the loopback that was free a moment ago; it may be taken before it is used, so whoever uses it tries again. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP listener has a port');
  return address.port;
}
