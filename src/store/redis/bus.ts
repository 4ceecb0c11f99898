/**
 * Messages between the nodes: a connection of its own that only listens, since a connection that waits for
 * messages can do nothing else. Redis keeps no message for a node that was away, so the bus says when it was
 * (`onLost`) and when it is back (`onRestored`), and whoever relies on messages then starts from a clean slate.
 */
import type { Redis } from 'ioredis';
import type { StoreLog } from './connection.ts';

/** Messages here are an address or a DID; anything longer is not ours. */
const MESSAGE_CHARS_MAX = 8_192;

export class Bus {
  readonly #client: Redis;
  readonly #log: StoreLog;
  readonly #listeners = new Map<string, (text: string) => void>();
  readonly #lost: (() => void)[] = [];
  readonly #restored: (() => void)[] = [];
  #listening = false;

  constructor(client: Redis, log: StoreLog) {
    this.#client = client;
    this.#log = log;
    client.on('ready', () => void this.#subscribe());
    client.on('close', () => this.#gone());
    // The command connection reports that the server is away; twice would be noise.
    client.on('error', (error: Error) => log.debug({ err: error }, 'the connection for messages failed'));
    client.on('message', (channel: string, text: string) => this.#deliver(channel, text));
  }

  /** True while messages arrive. */
  get listening(): boolean {
    return this.#listening;
  }

  /** One listener a channel; to be called before the connection is made. */
  on(channel: string, listener: (text: string) => void): void {
    this.#listeners.set(channel, listener);
    if (this.#listening) void this.#subscribe();
  }

  /** Called at once when messages may be missed from now on. */
  onLost(listener: () => void): void {
    this.#lost.push(listener);
  }

  /** Called each time listening has begun, the first time included; messages sent before it never arrived. */
  onRestored(listener: () => void): void {
    this.#restored.push(listener);
    if (this.#listening) this.#call(listener);
  }

  /** Finds a connection that is dead without having been closed; resolves when that is known. */
  async check(): Promise<void> {
    if (this.#client.status !== 'ready') return;
    try {
      await this.#client.ping();
    } catch {
      // `close` follows, and with it `onLost`; then ioredis connects anew.
      this.#client.disconnect(true);
    }
  }

  connect(): void {
    // A failed attempt arrives as `error`; the promise would only say it again.
    this.#client.connect().catch(() => undefined);
  }

  close(): void {
    this.#client.disconnect();
  }

  async #subscribe(): Promise<void> {
    try {
      if (this.#listeners.size > 0) await this.#client.subscribe(...this.#listeners.keys());
    } catch (error) {
      this.#log.debug({ err: error }, 'could not listen for messages');
      this.#client.disconnect(true);
      return;
    }
    if (this.#listening) return;
    this.#listening = true;
    for (const listener of this.#restored) this.#call(listener);
  }

  #gone(): void {
    if (!this.#listening) return;
    this.#listening = false;
    for (const listener of this.#lost) this.#call(listener);
  }

  #deliver(channel: string, text: string): void {
    const listener = this.#listeners.get(channel);
    if (listener === undefined || text.length > MESSAGE_CHARS_MAX) return;
    this.#call(() => listener(text));
  }

  /** A listener that throws must not end the process: messages come from outside. */
  #call(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.#log.error({ err: error }, 'a listener for messages from other nodes failed');
    }
  }
}
