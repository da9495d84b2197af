import { SaccadeError } from '../errors.ts';

/** An option is unknown, missing, of the wrong kind or out of its range: give what the message allows. */
export class OptionError extends SaccadeError {
  static override readonly typeName: string = 'OptionError';
  /** Name of the option. */
  readonly option: string;
  /** What was given; `undefined` where a required option is missing. */
  readonly given: unknown;
  /** What is allowed, in words. */
  readonly allowed: string;

  constructor(option: string, given: unknown, allowed: string, message?: string) {
    super('option', message ?? `option ${option}: got ${show(given)}; allowed: ${allowed}.`);
    this.option = option;
    this.given = given;
    this.allowed = allowed;
  }
}

function show(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'number' || value === undefined) return String(value);
  return JSON.stringify(value) ?? String(value);
}
