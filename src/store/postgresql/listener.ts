/** The doorbell: one connection that listens to what other nodes announce. The poll stands behind it. */
import pg from 'pg';
import type { DriverEvents } from '../executor.ts';
import { CHANNEL } from './dialect.ts';
import { clientSettings, type PostgresAddress } from './settings.ts';

/** Between two attempts to listen again. */
const RECONNECT_MS = 500;

export interface Listener {
  close(): Promise<void>;
}

/** Listens as soon as it can; what was announced before is for the poll to find. */
export function startListening(address: PostgresAddress, timeoutMs: number, events: DriverEvents): Listener {
  let timer: NodeJS.Timeout | null = null;
  let client: pg.Client | null = null;
  let connecting: Promise<void> = Promise.resolve();
  let closed = false;
  let heardBefore = false;

  function again(): void {
    client = null;
    if (closed || timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      connecting = connect();
    }, RECONNECT_MS);
  }

  async function connect(): Promise<void> {
    const next = new pg.Client(clientSettings(address, timeoutMs));
    client = next;
    // Both may come, and `end` without `error` when the server closes in good order.
    next.on('error', () => events.doubted()).on('end', again);
    next.on('notification', ({ payload = '' }) => {
      const [topic = '', version] = payload.split(' ');
      events.heard(topic, Number(version));
    });
    try {
      await next.connect();
      await next.query(`listen ${CHANNEL}`);
      if (heardBefore) events.missed();
      heardBefore = true;
    } catch {
      // Whether the database answers is for the poll to say; here it is tried again.
      await next.end();
      again();
    }
  }

  connecting = connect();
  return {
    async close() {
      closed = true;
      if (timer !== null) clearTimeout(timer);
      await connecting;
      await client?.end();
    },
  };
}
