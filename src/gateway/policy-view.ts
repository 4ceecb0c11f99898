import type { PolicyRequest } from '../policy/decide.ts';
import type { Caller } from './identity/caller.ts';

/** What rules may ask about a request; looked up only when a rule asks. */
export class PolicyView implements PolicyRequest {
  readonly did: string;
  readonly method: string;
  readonly path: string;
  readonly address: string;
  readonly #rawHeaders: readonly string[];
  readonly #caller: Caller | null;
  readonly #regionOf: (address: string) => string | null;

  /** @param path percent-decoded, as `readTarget` of `routing/` left it. */
  constructor(
    caller: Caller | null,
    method: string,
    path: string,
    address: string,
    rawHeaders: readonly string[],
    regionOf: (address: string) => string | null,
  ) {
    this.did = caller?.did ?? '';
    this.method = method;
    this.path = path;
    this.address = address;
    this.#rawHeaders = rawHeaders;
    this.#caller = caller;
    this.#regionOf = regionOf;
  }

  /** The combined value of a field (RFC 9110, section 5.2). @param name in lower case */
  header(name: string): string | undefined {
    const raw = this.#rawHeaders;
    let value: string | undefined;
    for (let i = 0; i < raw.length; i += 2) {
      const candidate = raw[i] as string;
      if (candidate.length !== name.length || candidate.toLowerCase() !== name) continue;
      value = value === undefined ? (raw[i + 1] as string) : `${value}, ${raw[i + 1]}`;
    }
    return value;
  }

  /** A component counts with its exact parameters: `"x";key="a"` does not cover `"x"` (RFC 9421, section 7.2.1). */
  covers(name: string): boolean {
    return this.#caller?.covered.has(`"${name}"`) ?? false;
  }

  region(): string | null {
    return this.#regionOf(this.address);
  }
}
