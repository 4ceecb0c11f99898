import { Refused } from '../refusal.ts';
import { Delivery, type DeliveryTools } from './delivery.ts';
import { PROXY_REFUSALS } from './errors.ts';
import type { Exchange, ExchangeFinished } from './exchange.ts';

/** Delivers an exchange on a hijacked reply: see `createDeliver`. */
export type Deliver = (exchange: Exchange, finished: ExchangeFinished) => void;

/**
 * The returned function calls `finished` exactly once, possibly before it returns. By a callback rather than a promise:
 * this is the path's hottest place. It fills the record's instance, attempts, respondedAt, status, bytes, aborted and
 * internalReason.
 */
export function createDeliver(tools: DeliveryTools): Deliver {
  return (exchange, finished) => {
    const { method } = exchange.req;
    // TRACE would show the agent's echo of every credential on the way (RFC 9110, section 9.3.8).
    if (method === 'TRACE' || method === 'CONNECT') {
      return finished(
        exchange,
        new Refused(PROXY_REFUSALS.method_not_proxied, {
          headers: ['allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'],
        }),
      );
    }
    new Delivery(tools, exchange, finished).start();
  };
}
