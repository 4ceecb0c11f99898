/** The operators' side over a real connection. */
import type { Reachable } from '../../support/gateway.ts';

export const OPERATOR_KEY = 'kq7Rz-N0c2Wm5Kx1JtUe8hVb4sLd3gPyAf';

/** As the tests look into it. */
export type Json = ReturnType<typeof JSON.parse>;

export interface OperatorAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Json;
}

export interface OperatorCall {
  readonly key?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON, unless it is a text. */
  readonly body?: unknown;
}

export async function operate(
  { origin }: Pick<Reachable, 'origin'>,
  method: string,
  path: string,
  { key = OPERATOR_KEY, headers = {}, body }: OperatorCall = {},
): Promise<OperatorAnswer> {
  const answer = await fetch(`${origin}${path}`, {
    method,
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    signal: AbortSignal.timeout(15_000),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text === '' ? null : JSON.parse(text) };
}
