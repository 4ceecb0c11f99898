import { Type } from 'typebox';
import { principalOf, ROLES } from '../access/principal.ts';
import { InstantView, instant } from './instants.ts';
import { nullable } from './nullable.ts';
import type { OperatorApp } from './route.ts';

const Whoami = Type.Object(
  {
    actor: Type.String({ examples: ['key:sage_4fK2c9QxYw1B', 'did:key:z6Mk…'] }),
    method: Type.Enum(['api_key', 'jwt', 'did', 'local']),
    role: Type.Enum([...ROLES]),
    scopes: Type.Array(Type.String()),
    expires_at: nullable(InstantView),
  },
  { title: 'Whoami' },
);

/** `GET /v1/whoami`: what the credential that asks is worth. */
export function whoamiRoutes(app: OperatorApp): void {
  app.get(
    '/whoami',
    {
      config: { scope: 'any' },
      schema: {
        operationId: 'whoami',
        summary: 'Who is asking, and what that allows',
        tags: ['gateway'],
        response: { 200: Whoami },
      },
    },
    (request) => {
      const { actor, method, role, scopes, expiresAtMs } = principalOf(request);
      const expires_at = Number.isFinite(expiresAtMs) ? instant(expiresAtMs) : null;
      return { actor, method, role, scopes: [...scopes], expires_at };
    },
  );
}
