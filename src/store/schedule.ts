/** Repeats a piece of work, never two at a time; each says when the next is due, and that can be brought forward. */
export interface Schedule {
  /** Begins at once; resolves when the first is done. */
  start(): Promise<void>;
  /** The next begins in `ms` milliseconds at the latest; one that runs now is as good. */
  within(ms: number): void;
  /** Resolves when nothing runs any more. */
  stop(): Promise<void>;
}

/** @param work must not reject; answers the milliseconds until it is due again */
export function createSchedule(work: () => Promise<number>): Schedule {
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> = Promise.resolve();
  /** Null while it runs, and before the start. */
  let dueMs: number | null = null;
  let stopped = false;

  function within(ms: number): void {
    const atMs = performance.now() + ms;
    if (stopped || dueMs === null || dueMs <= atMs) return;
    if (timer !== null) clearTimeout(timer);
    dueMs = atMs;
    timer = setTimeout(begin, ms);
  }

  function begin(): void {
    timer = null;
    dueMs = null;
    running = work().then((ms) => {
      dueMs = Number.POSITIVE_INFINITY;
      within(ms);
    });
  }

  return {
    within,
    start() {
      begin();
      return running;
    },
    async stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      await running;
    },
  };
}
