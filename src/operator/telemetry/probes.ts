/** Probes of the machine and the process. None is critical: a gateway on a full disk still refuses and forwards. */
import { statfs } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { HealthStatus, Probe, ProbeResult } from './health.ts';

const MIB = 1024 * 1024;
/** Below this much free space an operator should look; below the second, writes are about to fail. */
const DISK_FREE_WARN_BYTES = 1024 * MIB;
const DISK_FREE_FAIL_BYTES = 64 * MIB;
/** Shares of the limit; past the second, the kernel or V8 ends the process soon. */
const MEMORY_WARN_SHARE = 0.8;
const MEMORY_FAIL_SHARE = 0.95;
/** 99th percentile since the last check. Above the first, callers notice; above the second, deadlines pass unseen. */
const LOOP_DELAY_WARN_MS = 100;
const LOOP_DELAY_FAIL_MS = 1000;
const LOOP_RESOLUTION_MS = 20;

const INTERVAL_MS = 10_000;
const DEADLINE_MS = 2_000;
const SYSTEM = {
  componentType: 'system',
  critical: false,
  intervalMs: INTERVAL_MS,
  deadlineMs: DEADLINE_MS,
} as const;

function graded(status: HealthStatus, value: number, unit: string, output: string): ProbeResult {
  const measured = { status, observedValue: value, observedUnit: unit };
  return status === 'pass' ? measured : { ...measured, output };
}

/** Grades free bytes. */
export function gradeDisk(freeBytes: number): ProbeResult {
  const status =
    freeBytes < DISK_FREE_FAIL_BYTES ? 'fail' : freeBytes < DISK_FREE_WARN_BYTES ? 'warn' : 'pass';
  return graded(status, freeBytes, 'B', 'little free space in DATA_DIR');
}

/** Grades bytes used of a limit in bytes. */
export function gradeMemory(usedBytes: number, limitBytes: number): ProbeResult {
  const share = usedBytes / limitBytes;
  const status = share >= MEMORY_FAIL_SHARE ? 'fail' : share >= MEMORY_WARN_SHARE ? 'warn' : 'pass';
  return graded(status, usedBytes, 'B', `${Math.round(share * 100)} % of ${limitBytes} bytes`);
}

/** Grades a delay in milliseconds. */
export function gradeLoopDelay(delayMs: number): ProbeResult {
  const status = delayMs >= LOOP_DELAY_FAIL_MS ? 'fail' : delayMs >= LOOP_DELAY_WARN_MS ? 'warn' : 'pass';
  return graded(status, Math.round(delayMs * 100) / 100, 'ms', 'the event loop is held up');
}

function loopProbe(): Probe {
  const delays = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  delays.enable();
  return {
    ...SYSTEM,
    name: 'event-loop:delay',
    check() {
      // The histogram holds intervals, the resolution included; without samples it gives NaN.
      const delayMs = delays.count === 0 ? 0 : Math.max(0, delays.percentile(99) / 1e6 - LOOP_RESOLUTION_MS);
      delays.reset();
      return gradeLoopDelay(delayMs);
    },
    close: () => delays.disable(),
  };
}

/** A container's limit when there is one, else the machine's memory. */
function memoryLimitBytes(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

/** Disk, memory and event loop. `dataDir` is DATA_DIR. */
export function systemProbes(dataDir: string): Probe[] {
  return [
    {
      ...SYSTEM,
      name: 'disk:free',
      async check() {
        const { bavail, bsize } = await statfs(dataDir);
        return gradeDisk(bavail * bsize);
      },
    },
    {
      ...SYSTEM,
      name: 'memory:rss',
      check: () => gradeMemory(process.memoryUsage.rss(), memoryLimitBytes()),
    },
    {
      ...SYSTEM,
      name: 'memory:heap',
      check() {
        const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
        return gradeMemory(used, limit);
      },
    },
    loopProbe(),
  ];
}
