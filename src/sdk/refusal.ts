/** What a gateway says when it will not deliver: problem documents (RFC 9457) of the form in `docs/errors.md`. */

/** A refusal of a Sage Gateway, or of a server with the SDK's middleware. Act on `code`; it is stable. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  /** Whether the same request, signed anew, may succeed later. */
  readonly retryable: boolean;
  /** Under which the gateway's log has it. */
  readonly requestId: string | null;
  /** Seconds to wait, as `Retry-After` says. */
  readonly retryAfterSeconds: number | null;
  /** What exactly failed, where the gateway explains its refusals. */
  readonly explanation: string | null;
}

/** Problem documents are short; what is longer comes from somebody else. */
const LENGTH_MAX = 65_536;

/**
 * The refusal in a response, or null when it is none. The response can still be read afterwards.
 * @throws nothing: a body that cannot be read as a refusal is none
 */
export async function readRefusal(response: Response): Promise<Refusal | null> {
  const type = response.headers.get('content-type') ?? '';
  if (response.ok || response.bodyUsed || !/^application\/problem\+json\b/i.test(type)) return null;
  if (Number(response.headers.get('content-length') ?? 0) > LENGTH_MAX) return null;
  const document = await jsonOf(response.clone());
  if (typeof document !== 'object' || document === null || !('code' in document)) return null;
  const { code } = document;
  if (typeof code !== 'string') return null;
  const text = (name: string): string | null => {
    const value: unknown = Object.entries(document).find(([member]) => member === name)?.[1];
    return typeof value === 'string' ? value : null;
  };
  return {
    status: response.status,
    code,
    title: text('title') ?? '',
    detail: text('detail') ?? '',
    retryable: 'retryable' in document && document.retryable === true,
    requestId: text('request_id') ?? response.headers.get('x-request-id'),
    retryAfterSeconds: secondsOf(response.headers.get('retry-after')),
    explanation: text('explanation'),
  };
}

function secondsOf(field: string | null): number | null {
  return field !== null && /^\d{1,9}$/.test(field) ? Number(field) : null;
}

async function jsonOf(response: Response): Promise<unknown> {
  const reader = response.body?.getReader();
  if (reader === undefined) return null;
  const decoder = new TextDecoder();
  let text = '';
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      text += decoder.decode(step.value, { stream: true });
      if (text.length > LENGTH_MAX) {
        reader.cancel().catch(() => undefined);
        return null;
      }
    }
    return JSON.parse(text + decoder.decode());
  } catch {
    // Cut short, or not JSON: it says nothing that could be acted on.
    return null;
  }
}
