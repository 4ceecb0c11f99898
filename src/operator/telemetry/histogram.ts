/**
 * A prom-client histogram whose observations are plain additions into an array, folded into Prometheus' form only when
 * it is scraped. prom-client's own `observe` hashes the labels each time, and the path does several for every request.
 */
import { Histogram } from 'prom-client';

/** One label set's buckets. */
export interface Buckets {
  /** Counts one observation; what is not a finite, non-negative number is left out. */
  observe(value: number): void;
}

interface Sample {
  metricName: string;
  labels: Record<string, string | number>;
  value: number;
}

interface HistogramOptions<L extends string> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly L[];
  /** Upper bounds in rising order. */
  readonly buckets: readonly number[];
}

class Series implements Buckets {
  readonly counts: Float64Array;
  sum = 0;
  readonly #bounds: readonly number[];

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) return;
    const bounds = this.#bounds;
    let i = 0;
    while (i < bounds.length && value > (bounds[i] as number)) i++;
    this.counts[i] = (this.counts[i] as number) + 1;
    this.sum += value;
  }
}

export class FoldedHistogram<L extends string> extends Histogram<L> {
  readonly #series: { readonly labels: Record<L, string>; readonly series: Series }[] = [];
  readonly #options: HistogramOptions<L>;

  constructor(options: HistogramOptions<L>) {
    super({ ...options, labelNames: [...options.labelNames], buckets: [...options.buckets], registers: [] });
    this.#options = options;
  }

  /** A new series; the caller keeps it, asks once for each label set, and bounds how many there are. */
  child(labels: Record<L, string>): Buckets {
    const series = new Series(this.#options.buckets);
    this.#series.push({ labels, series });
    return series;
  }

  override get(): ReturnType<Histogram<L>['get']> {
    const { name, help } = this.#options;
    const values = this.#series.flatMap(({ labels, series }) => this.#samples(labels, series));
    const folded = { name, help, type: 'histogram', aggregator: 'sum', values };
    // prom-client types `type` as an enum of numbers but reads and writes these words.
    return Promise.resolve(folded) as unknown as ReturnType<Histogram<L>['get']>;
  }

  /** prom-client asks this rather than `get` when it writes text. */
  getForPromString(): ReturnType<Histogram<L>['get']> {
    return this.get();
  }

  #samples(labels: Record<L, string>, series: Series): Sample[] {
    const { name, buckets } = this.#options;
    const samples: Sample[] = [];
    let total = 0;
    for (const [i, bound] of buckets.entries()) {
      total += series.counts[i] as number;
      samples.push({ metricName: `${name}_bucket`, labels: { le: bound, ...labels }, value: total });
    }
    total += series.counts[buckets.length] as number;
    samples.push({ metricName: `${name}_bucket`, labels: { le: '+Inf', ...labels }, value: total });
    samples.push({ metricName: `${name}_sum`, labels: { ...labels }, value: series.sum });
    samples.push({ metricName: `${name}_count`, labels: { ...labels }, value: total });
    return samples;
  }
}
