/** Reads single variables and gathers what is wrong with them. */
import { readFileSync } from 'node:fs';
import { DECLARATIONS, type Variable } from './env-variables.ts';

/** More is no secret but a wrong file. */
const SECRET_FILE_LENGTH_MAX = 8_192;

type SecretName = 'OPERATOR_API_KEY' | 'CLUSTER_SECRET' | 'DATABASE_URL' | 'REDIS_URL';

/** Collects faults so that an operator mends them all at once. */
export class EnvReader {
  readonly faults: string[] = [];
  readonly #source: NodeJS.ProcessEnv;

  constructor(source: NodeJS.ProcessEnv) {
    this.#source = source;
  }

  text(name: Variable): string | null {
    const value = this.#source[name]?.trim();
    return value === undefined || value === '' ? null : value;
  }

  /** The default where nothing is given. @throws {RangeError} for a variable that is declared without one */
  textOr(name: Variable): string {
    const value = this.text(name) ?? DECLARATIONS.get(name)?.fallback;
    if (typeof value !== 'string') throw new RangeError(`${name} has no default`);
    return value;
  }

  integer(name: Variable): number {
    const [min, max] = DECLARATIONS.get(name)?.range ?? [0, 0];
    const text = this.textOr(name);
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    this.faults.push(`${name} must be a whole number from ${min} to ${max}, not "${text}"`);
    return Number(DECLARATIONS.get(name)?.fallback);
  }

  choice<T extends string>(name: Variable, choices: readonly [T, ...T[]]): T {
    const text = this.textOr(name);
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    this.faults.push(`${name} must be one of ${choices.join(', ')}, not "${text}"`);
    const { fallback } = DECLARATIONS.get(name) ?? {};
    return choices.find((choice) => choice === fallback) ?? choices[0];
  }

  flag(name: Variable): boolean {
    return this.choice(name, ['true', 'false']) === 'true';
  }

  url(name: Variable, text: string, protocols: readonly string[]): URL | null {
    const url = URL.canParse(text) ? new URL(text) : null;
    if (url !== null && protocols.includes(url.protocol)) return url;
    // A URL may carry a password, so the fault names the variable and not the value.
    this.faults.push(`${name} must hold URLs of ${protocols.map((p) => `${p}//`).join(' or ')}`);
    return null;
  }

  /** From the variable, or from the file that `<name>_FILE` names, as secrets are mounted by orchestrators. */
  secret(name: SecretName): string | null {
    const value = this.text(name);
    const fromFile: Variable = `${name}_FILE`;
    if (this.text(fromFile) === null) return value;
    if (value !== null) {
      this.faults.push(`${name} and ${fromFile} cannot both be given`);
      return value;
    }
    const content = this.file(fromFile)?.trim() ?? null;
    if (content === null) return null;
    if (content !== '' && content.length <= SECRET_FILE_LENGTH_MAX) return content;
    this.faults.push(`${fromFile} must hold one secret of 1 to ${SECRET_FILE_LENGTH_MAX} characters`);
    return null;
  }

  file(name: Variable): string | null {
    const path = this.text(name);
    if (path === null) return null;
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      this.faults.push(
        `${name}: cannot read ${path} (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`,
      );
      return null;
    }
  }
}
