import fp from 'fastify-plugin';
import { requestView } from '../../trust/wire/message.ts';
import type { RequestTarget } from '../listener/target.ts';
import {
  type Claimant,
  type Identified,
  type IdentityPorts,
  type IdentitySettings,
  identify,
  toRefusal,
} from './identify.ts';
import { createOrigins, findOrigin, type Origin, type Origins } from './origins.ts';

/** What the path asks of identity. */
export interface Identity {
  /** @throws {Refused} authority_unknown */
  origin(authority: string): Origin;
  /** All of them, as URLs. */
  origins(): readonly string[];
  /** Called once, when the port is known and no origins were configured. */
  setOrigins(urls: readonly string[]): void;
  /** @throws whatever `toRefusal` turns into a refusal */
  identify(
    target: RequestTarget,
    rawHeaders: readonly string[],
    origin: Origin,
    claimant: Omit<Claimant, 'view'>,
  ): Identified | Promise<Identified>;
  toRefusal(error: unknown): unknown;
  /** Gives a proven body's share of the budget back. */
  release(bytes: number): void;
}

export interface IdentityOptions {
  readonly publicOrigins: readonly string[];
  readonly settings: IdentitySettings;
  readonly ports: IdentityPorts;
}

declare module 'fastify' {
  interface FastifyInstance {
    identity: Identity;
  }
}

/** Turns a request into a `Caller`, or refuses it. */
export const identityPlugin = fp<IdentityOptions>(
  async (app, { publicOrigins, settings, ports }) => {
    let origins: Origins = createOrigins(publicOrigins);
    app.decorate('identity', {
      origin: (authority) => findOrigin(origins, authority),
      origins: () => [
        ...new Set([...origins.values()].map(({ scheme, authority }) => `${scheme}://${authority}`)),
      ],
      setOrigins(urls) {
        origins = createOrigins(urls);
      },
      identify(target, rawHeaders, origin, claimant) {
        const view = requestView({
          method: target.method,
          scheme: origin.scheme,
          authority: origin.authority,
          target: target.target,
          // With the pseudo-header fields of HTTP/2: the shape of the message is judged as it arrived.
          rawHeaders,
        });
        return identify({ ...claimant, view }, settings, ports);
      },
      toRefusal,
      release(bytes) {
        settings.budget.heldBytes -= bytes;
      },
    });
  },
  { name: 'sage-identity', fastify: '5.x', dependencies: ['sage-listener'] },
);
