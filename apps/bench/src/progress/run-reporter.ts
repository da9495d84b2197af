import type { ScenarioProgress } from '../scenario.ts';

/** Progress of one named piece of work; `finish` must be called. */
export interface Progress extends ScenarioProgress {
  finish(): void;
}

/** Where a run tells how far it is: a terminal, a log, a page. */
export interface RunReporter {
  start(title: string): Progress;
  /** One line for the user. */
  log(line: string): void;
}
