/** Who listens to changes of rows, and which version of each topic they have heard of. */
import type { Topic } from './database.ts';
import { TOPICS } from './database.ts';

export interface Changes {
  listen(listener: (topic: Topic) => void): () => void;
  /** Tells the listeners unless they know this version. */
  heard(topic: string, version: number): void;
  /** Something may have been missed: every topic is told. */
  tellAll(): void;
}

/** @param failed gets what a listener throws: the next one is told all the same */
export function createChanges(failed: (error: unknown) => void): Changes {
  const listeners = new Set<(topic: Topic) => void>();
  const known = new Map<Topic, number>();
  const tell = (topic: Topic): void => {
    for (const listener of listeners) {
      try {
        listener(topic);
      } catch (error) {
        failed(error);
      }
    }
  };
  return {
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    heard(name, version) {
      const topic = TOPICS.find((one) => one === name);
      if (topic === undefined || known.get(topic) === version) return;
      const first = !known.has(topic);
      known.set(topic, version);
      // The first version is what stood there when the database was opened.
      if (!first) tell(topic);
    },
    tellAll: () => TOPICS.forEach(tell),
  };
}
