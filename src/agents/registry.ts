/**
 * The agents behind the gateway and their instances: one for each upstream. The registry knows when an instance
 * begins and ends; what an instance holds (a circuit, a pool) is the factory's business, which `app.ts` hands in.
 */
import type { ProfileName } from '../trust/profiles/profile.ts';

export interface UpstreamDefinition {
  /** An origin such as `http://127.0.0.1:9100`: no path, no credentials. */
  readonly url: string;
  /** `h2` means HTTP/2 by prior knowledge over `http:` and by ALPN over `https:`. */
  readonly protocol: 'http/1.1' | 'h2';
  /** PEM of the authorities that may have signed the upstream's certificate; absent: the system's. */
  readonly ca?: string;
}

export interface AgentTimeouts {
  /** From choosing an instance until the request is on a connection, waiting for a free one included. */
  readonly connectMs: number;
  /** From the request being sent until the response's fields have arrived. */
  readonly headersMs: number;
  /** The longest silence within a request or response body, whichever side is silent. */
  readonly bodyIdleMs: number;
  /** The whole exchange; absent: unbounded, as an event stream needs. */
  readonly totalMs?: number;
}

export interface AgentDefinition {
  /** What stands in `/agents/{id}/**`. */
  readonly id: string;
  /** The agent's own identity. */
  readonly did?: string;
  readonly upstreams: readonly UpstreamDefinition[];
  readonly authentication: 'required' | 'none';
  /** DID patterns that may call when no policy says otherwise. */
  readonly allow: readonly string[];
  /** How requests to it may be signed. */
  readonly profiles: readonly ProfileName[];
  /** `buffer`: proven before anything is forwarded; `stream`: forwarded as it comes, the last chunk withheld until proven. */
  readonly body: 'buffer' | 'stream';
  /** What happens to a request whose nonce cannot be reserved because the store is away. */
  readonly onNonceStoreDown: 'refuse' | 'refuse_unsafe';
  readonly timeouts: AgentTimeouts;
  /** How many more times a request may be tried when that is safe. */
  readonly retries: number;
  readonly websocketMaxMessageBytes: number;
}

/** One agent at run time. `turn` belongs to the round-robin, which starts its search there. */
export interface Agent<I> {
  readonly definition: AgentDefinition;
  readonly instances: readonly I[];
  turn: number;
}

/** Opens and closes what an instance holds. `close` must let what is under way finish. */
export interface InstanceFactory<I> {
  open(agent: AgentDefinition, upstream: UpstreamDefinition): I;
  close(instance: I): void;
}

export interface Registry<I> {
  get(id: string): Agent<I> | undefined;
  list(): readonly Agent<I>[];
  /**
   * Puts a new set in place at once. An instance whose agent, upstream and connection settings are unchanged is kept,
   * so that a reload loses neither its circuit nor its connections; the others are closed.
   * @throws {RangeError} for an id or an upstream given twice; the old set then stays whole.
   */
  replace(definitions: readonly AgentDefinition[]): void;
}

/** What makes an instance the same one after a reload: everything its pool was opened with. */
function instanceKey(agent: AgentDefinition, upstream: UpstreamDefinition): string {
  const { connectMs, headersMs, bodyIdleMs } = agent.timeouts;
  const timeouts = [connectMs, headersMs, bodyIdleMs];
  return JSON.stringify([agent.id, upstream.url, upstream.protocol, upstream.ca ?? '', ...timeouts]);
}

class AgentRegistry<I> implements Registry<I> {
  readonly #factory: InstanceFactory<I>;
  #agents: ReadonlyMap<string, Agent<I>> = new Map();
  #instances: ReadonlyMap<string, I> = new Map();

  constructor(factory: InstanceFactory<I>) {
    this.#factory = factory;
  }

  get(id: string): Agent<I> | undefined {
    return this.#agents.get(id);
  }

  list(): readonly Agent<I>[] {
    return [...this.#agents.values()];
  }

  replace(definitions: readonly AgentDefinition[]): void {
    const before = this.#instances;
    const instances = new Map<string, I>();
    const opened: I[] = [];
    try {
      this.#agents = this.#assemble(definitions, instances, opened);
    } catch (error) {
      for (const instance of opened) this.#factory.close(instance);
      throw error;
    }
    this.#instances = instances;
    for (const [key, instance] of before) {
      if (!instances.has(key)) this.#factory.close(instance);
    }
  }

  #assemble(
    definitions: readonly AgentDefinition[],
    instances: Map<string, I>,
    opened: I[],
  ): ReadonlyMap<string, Agent<I>> {
    const agents = new Map<string, Agent<I>>();
    for (const definition of definitions) {
      if (agents.has(definition.id)) throw new RangeError(`agent id "${definition.id}" is used twice`);
      const own: I[] = [];
      for (const upstream of definition.upstreams) {
        const key = instanceKey(definition, upstream);
        if (instances.has(key)) throw new RangeError(`agent "${definition.id}" lists ${upstream.url} twice`);
        let instance = this.#instances.get(key);
        if (instance === undefined) {
          instance = this.#factory.open(definition, upstream);
          opened.push(instance);
        }
        instances.set(key, instance);
        own.push(instance);
      }
      agents.set(definition.id, {
        definition,
        instances: own,
        turn: this.#agents.get(definition.id)?.turn ?? 0,
      });
    }
    return agents;
  }
}

/** An empty registry; `replace` fills it. */
export function createRegistry<I>(factory: InstanceFactory<I>): Registry<I> {
  return new AgentRegistry(factory);
}
