import { Presets, SingleBar } from 'cli-progress';
import type { Progress, RunReporter } from './run-reporter.ts';

/** Where progress goes. */
export interface ProgressStream extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
}

/**
 * The terminal if there is one, else stderr. The process that holds the GPU writes stderr through a filter, so its
 * terminal is stdout.
 */
export function progressStream(): ProgressStream {
  return process.stdout.isTTY ? process.stdout : process.stderr;
}

/** Tells a run's progress on a stream. */
export function streamReporter(stream: ProgressStream): RunReporter {
  return { start: (title) => startProgress(title, stream), log: (line) => stream.write(`${line}\n`) };
}

/** Makes progress: a bar on a terminal, else plain lines at most every five seconds, so that a log stays short. */
export function startProgress(title: string, stream: ProgressStream): Progress {
  return stream.isTTY === true ? barProgress(title, stream) : lineProgress(title, stream);
}

function barProgress(title: string, stream: ProgressStream): Progress {
  const bar = new SingleBar(
    {
      format: `${title} {bar} {percentage}% | {value}/{total} | {duration_formatted} | {label}`,
      stream,
      hideCursor: true,
      clearOnComplete: true,
      etaBuffer: 20,
      linewrap: false,
    },
    Presets.shades_classic,
  );
  let started = false;
  return {
    total(steps) {
      if (started) bar.setTotal(steps);
      else bar.start(steps, 0, { label: '' });
      started = true;
    },
    advance(steps = 1, label) {
      if (started) bar.increment(steps, label === undefined ? {} : { label });
    },
    finish() {
      if (started) bar.stop();
    },
  };
}

const quietMs = 5000;

function lineProgress(title: string, stream: ProgressStream): Progress {
  let total = 0;
  let done = 0;
  let printed = performance.now();
  return {
    total(steps) {
      total = steps;
    },
    advance(steps = 1, label = '') {
      done += steps;
      if (performance.now() - printed < quietMs) return;
      printed = performance.now();
      const share = total === 0 ? '' : ` ${Math.min(100, Math.round((100 * done) / total))}%`;
      stream.write(`${title}:${share}${label === '' ? '' : ` ${label}`}\n`);
    },
    finish() {},
  };
}
