/**
 * Which rules are awake. Time is asked for by the minute of the week in a rule's own time zone, by wall clock: in the hour that
 * a change of clocks repeats a rule is awake twice, in the one it skips not at all.
 */
import { type Bits, copyBits, setBit } from './bits.ts';
import type { Rule, Window } from './rule.ts';

const MINUTE_MS = 60_000;
const WEEKDAYS: Readonly<Record<string, number>> = { Mon: 0, Tue: 1, Wed: 2, Thu: 3, Fri: 4, Sat: 5, Sun: 6 };

/** One formatter a time zone: making one costs 50 us. Bounded by the names that ICU knows, about 600. */
const formatters = new Map<string, Intl.DateTimeFormat>();

interface Group {
  readonly window: Window | null;
  readonly untilMs: number;
  readonly rules: readonly number[];
}

export interface ActiveWindows {
  readonly groups: readonly Group[];
  /** Rules that are always awake. */
  readonly base: Bits;
  readonly active: Bits;
  /** `active` holds for instants from `fromMs` (included) to `untilMs` (excluded). */
  fromMs: number;
  untilMs: number;
}

export function buildActiveWindows(rules: readonly Rule[], base: Bits): ActiveWindows {
  const groups = new Map<string, { window: Window | null; untilMs: number; rules: number[] }>();
  for (const [index, { window, untilMs }] of rules.entries()) {
    if (window === null && untilMs === Number.POSITIVE_INFINITY) continue;
    const key = JSON.stringify([window, untilMs]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { window, untilMs, rules: [index] });
    else group.rules.push(index);
  }
  const active = new Uint32Array(base.length);
  return { groups: [...groups.values()], base, active, fromMs: Number.POSITIVE_INFINITY, untilMs: 0 };
}

/** Offsets of time zones are whole minutes, so the answer holds until the minute is over or an emergency rule ends. */
export function lookUpActive(windows: ActiveWindows, nowMs: number): Bits {
  if (nowMs >= windows.fromMs && nowMs < windows.untilMs) return windows.active;
  const minuteOf = new Map<string, number>();
  const fromMs = Math.floor(nowMs / MINUTE_MS) * MINUTE_MS;
  let untilMs = fromMs + MINUTE_MS;
  copyBits(windows.active, windows.base);
  windows.fromMs = fromMs;
  for (const group of windows.groups) {
    // An instant before `untilMs` in the same minute had another answer: do not claim it.
    if (group.untilMs <= nowMs) windows.fromMs = Math.max(windows.fromMs, group.untilMs);
    else untilMs = Math.min(untilMs, group.untilMs);
    if (group.untilMs > nowMs && (group.window === null || isAwake(group.window, nowMs, minuteOf))) {
      for (const rule of group.rules) setBit(windows.active, rule);
    }
  }
  windows.untilMs = untilMs;
  return windows.active;
}

function isAwake(window: Window, nowMs: number, minuteOf: Map<string, number>): boolean {
  let minute = minuteOf.get(window.timezone);
  if (minute === undefined) {
    minute = minuteOfWeek(window.timezone, nowMs);
    minuteOf.set(window.timezone, minute);
  }
  const at = minute;
  return window.spans.some(([from, to]) => at >= from && at < to);
}

/** Minutes since Monday 00:00 by the clocks of `timezone`. */
function minuteOfWeek(timezone: string, nowMs: number): number {
  let formatter = formatters.get(timezone);
  if (formatter === undefined) {
    formatter = new Intl.DateTimeFormat('en-US', {
      timeZone: timezone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
    formatters.set(timezone, formatter);
  }
  let minute = 0;
  for (const { type, value } of formatter.formatToParts(nowMs)) {
    if (type === 'weekday') minute += (WEEKDAYS[value] ?? 0) * 1_440;
    else if (type === 'hour') minute += Number(value) * 60;
    else if (type === 'minute') minute += Number(value);
  }
  return minute;
}
