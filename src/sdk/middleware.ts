/** What the middleware for the three frameworks have in common. */
import { RequestRefused } from './errors.ts';
import type { VerifierOptions } from './verify.ts';

export interface MiddlewareOptions extends VerifierOptions {
  /** Tells callers what exactly failed, and the signature base that was expected. For development. */
  readonly explain?: boolean;
  /** Told of each refusal, for your log; `message` has what exactly failed. */
  readonly onRefused?: (refused: RequestRefused) => void;
}

export const PROBLEM_TYPE = 'application/problem+json';

/**
 * The answer to a request that was not proven.
 * @throws what is no refusal: the fault is this server's, and the framework's error handler has it
 */
export function refusalOf(
  error: unknown,
  { explain = false, onRefused }: MiddlewareOptions,
): { readonly status: number; readonly body: string } {
  if (!(error instanceof RequestRefused)) throw error;
  onRefused?.(error);
  return { status: error.status, body: JSON.stringify(error.problem(explain)) };
}
