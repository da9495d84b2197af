import { ModelConfigError } from './model-config.ts';
import { quote } from './quote.ts';

/** Typed access to values that a file gives, with errors that name file and value. */
export class ConfigValues {
  readonly #where: string;
  readonly #get: (name: string) => unknown;

  /**
   * @param where Name of the file, for messages.
   * @param get The value of a name; undefined or null where there is none.
   */
  constructor(where: string, get: (name: string) => unknown) {
    this.#where = where;
    this.#get = get;
  }

  /** Values of a parsed JSON object. @throws ModelConfigError `invalid` */
  static of(where: string, value: unknown): ConfigValues {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new ModelConfigError('invalid', `${where} is not a JSON object.`);
    }
    const record = value as Record<string, unknown>;
    return new ConfigValues(where, (name) => (Object.hasOwn(record, name) ? record[name] : undefined));
  }

  /** An integer, which may be negative. */
  integer(name: string, fallback?: number): number {
    const accept = (value: number) => Number.isInteger(value) && Math.abs(value) <= 2 ** 31;
    return this.#number(name, fallback, 'an integer', accept);
  }

  /** The values of an inner object; undefined where there is none. */
  object(name: string): ConfigValues | undefined {
    const value = this.#get(name) ?? undefined;
    return value === undefined ? undefined : ConfigValues.of(`${this.#where}, ${name}`, value);
  }

  /** An integer of 1 or more. @throws ModelConfigError `missing`, `invalid` */
  count(name: string, fallback?: number): number {
    return this.#number(
      name,
      fallback,
      'an integer from 1 to 2^31',
      (value) => Number.isInteger(value) && value >= 1 && value <= 2 ** 31,
    );
  }

  /** An integer of 0 or more. */
  natural(name: string, fallback?: number): number {
    const accept = (value: number) => Number.isInteger(value) && value >= 0 && value <= 2 ** 31;
    return this.#number(name, fallback, 'an integer from 0 to 2^31', accept);
  }

  /** A finite number over 0. */
  positive(name: string, fallback?: number): number {
    return this.#number(name, fallback, 'a number over 0', (value) => Number.isFinite(value) && value > 0);
  }

  /** A finite number. */
  number(name: string, fallback?: number): number {
    return this.#number(name, fallback, 'a number', Number.isFinite);
  }

  /** Integers of 1 or more, at least one of them. */
  counts(name: string, fallback: readonly number[]): readonly number[] {
    const value = this.#get(name) ?? fallback;
    const sound = (each: unknown) => typeof each === 'number' && Number.isInteger(each) && each >= 1 && each <= 2 ** 31;
    if (Array.isArray(value) && value.length > 0 && value.every(sound)) return value;
    throw this.invalid(name, value, 'a list of integers from 1 to 2^31');
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.#get(name) ?? fallback;
    if (typeof value !== 'boolean') throw this.invalid(name, value, 'true or false');
    return value;
  }

  text(name: string, fallback?: string): string {
    const value = this.#get(name) ?? fallback;
    if (value === undefined) throw this.#missing(name);
    if (typeof value !== 'string') throw this.invalid(name, value, 'a text');
    return value;
  }

  /** A text out of those that are supported. @throws ModelConfigError `unsupported` */
  only<Text extends string>(name: string, fallback: Text, supported: readonly Text[]): Text {
    const value = this.text(name, fallback);
    const found = supported.find((text) => text === value);
    if (found === undefined) throw this.unsupported(name, value, supported.join(', '));
    return found;
  }

  /** A list of so many numbers; undefined where there is none. */
  numbers(name: string, count: number): number[] | undefined {
    const value = this.#get(name) ?? undefined;
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.length === count && value.every((item) => Number.isFinite(item))) return value;
    throw this.invalid(name, value, `a list of ${count} numbers`);
  }

  /** A list of integers of 0 or more; undefined where there is none. */
  integers(name: string): number[] | undefined {
    const value = this.#get(name) ?? undefined;
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.every((item) => Number.isInteger(item) && item >= 0)) return value;
    throw this.invalid(name, value, 'a list of integers');
  }

  /** An inner object, or an integer of 1 or more in its place. */
  either(name: string): number | ConfigValues {
    if (typeof this.#get(name) === 'number') return this.count(name);
    return this.object(name) ?? this.count(name);
  }

  /** These values before others; where both have an inner object, the first one counts. */
  over(others: ConfigValues): ConfigValues {
    return new ConfigValues(this.#where, (name) => this.#get(name) ?? others.#get(name));
  }

  /** A list of texts; undefined where there is none. */
  texts(name: string): string[] | undefined {
    const value = this.#get(name) ?? undefined;
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.every((text) => typeof text === 'string')) return value;
    throw this.invalid(name, value, 'a list of texts');
  }

  /** Token ids, given as one number, a list or not at all. */
  ids(name: string): number[] {
    const value = this.#get(name) ?? [];
    const list: unknown[] = Array.isArray(value) ? value : [value];
    return list.map((id) => {
      if (typeof id !== 'number' || !Number.isInteger(id) || id < 0) throw this.invalid(name, value, 'token ids');
      return id;
    });
  }

  has(name: string): boolean {
    return (this.#get(name) ?? undefined) !== undefined;
  }

  invalid(name: string, given: unknown, allowed: string): ModelConfigError {
    return new ModelConfigError('invalid', `${this.#where}: ${name} is ${quote(given)}; allowed: ${allowed}.`);
  }

  unsupported(name: string, given: unknown, allowed: string): ModelConfigError {
    return new ModelConfigError('unsupported', `${this.#where}: ${name} is ${quote(given)}; supported: ${allowed}.`);
  }

  #missing(name: string): ModelConfigError {
    return new ModelConfigError('missing', `${this.#where} has no ${name}.`);
  }

  #number(name: string, fallback: number | undefined, allowed: string, accept: (value: number) => boolean): number {
    const value = this.#get(name) ?? fallback;
    if (value === undefined) throw this.#missing(name);
    if (typeof value !== 'number' || !accept(value)) throw this.invalid(name, value, allowed);
    return value;
  }
}
