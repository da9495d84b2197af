/**
 * One machine-readable schema per method says each option's default, range and meaning. The TypeScript type, the
 * validation, the README table, the command line and the controls of a web page are all derived from it.
 */
import { isLayer, isLayers, type LayerChoice, type LayersChoice } from './layer-choice.ts';
import { nearNames } from './near-names.ts';
import { OptionError } from './option-error.ts';

type Default<T> = T | null | undefined;

interface OptionBase<D> {
  /** One sentence that says what the option does. */
  readonly description: string;
  /** Used when the option is not given. `null` means "off", and `undefined` that the option must be given. */
  readonly default: D;
}

interface Range {
  /** Smallest allowed value. */
  readonly min?: number;
  /** Exclusive lower bound, in place of `min`: only values over it are allowed. */
  readonly above?: number;
  /** Largest allowed value. */
  readonly max?: number;
}

/** A whole number. */
export interface IntegerOption<D extends Default<number> = Default<number>> extends OptionBase<D>, Range {
  readonly type: 'integer';
}

/** A finite number. */
export interface NumberOption<D extends Default<number> = Default<number>> extends OptionBase<D>, Range {
  readonly type: 'number';
}

/** True or false. */
export interface BooleanOption<D extends Default<boolean> = Default<boolean>> extends OptionBase<D> {
  readonly type: 'boolean';
}

/** One of a fixed set of words. */
export interface ChoiceOption<C extends string = string, D extends Default<string> = Default<string>>
  extends OptionBase<D> {
  readonly type: 'choice';
  readonly choices: readonly C[];
}

/** A layer of the model. */
export interface LayerOption<D extends Default<LayerChoice> = Default<LayerChoice>> extends OptionBase<D> {
  readonly type: 'layer';
}

/** Several layers: a range of depth, or a list of layers. */
export interface LayersOption<D extends Default<LayersChoice> = Default<LayersChoice>> extends OptionBase<D> {
  readonly type: 'layers';
}

/** An option that can be an element of a list. */
export type ItemOption = IntegerOption | NumberOption | ChoiceOption | LayerOption;

/** Several values of one kind. */
export interface ListOption<
  I extends ItemOption = ItemOption,
  D extends Default<readonly unknown[]> = Default<readonly unknown[]>,
> extends OptionBase<D> {
  readonly type: 'list';
  readonly items: I;
  /** Fewest elements; 0 if absent. */
  readonly minLength?: number;
}

/** Any single option. */
export type Option = ItemOption | BooleanOption | LayersOption | ListOption;

/** Options by name, as `defineOptions` checks them. Plain data: it survives JSON. */
export type OptionSchema = Readonly<Record<string, Option>>;

type RawValue<O> = O extends { readonly type: 'integer' | 'number' }
  ? number
  : O extends { readonly type: 'boolean' }
    ? boolean
    : O extends { readonly type: 'layer' }
      ? LayerChoice
      : O extends { readonly type: 'layers' }
        ? LayersChoice
        : O extends { readonly type: 'choice'; readonly choices: readonly (infer C)[] }
          ? C
          : O extends { readonly type: 'list'; readonly items: infer I }
            ? readonly RawValue<I>[]
            : never;

type ValueOf<O> = O extends { readonly default: infer D }
  ? null extends D
    ? RawValue<O> | null
    : RawValue<O>
  : RawValue<O>;

type RequiredKeys<S extends OptionSchema> = {
  [K in keyof S]: undefined extends S[K]['default'] ? K : never;
}[keyof S];

/** The full options of a schema: every option present. */
export type OptionsOf<S extends OptionSchema> = { readonly [K in keyof S]: ValueOf<S[K]> };

/** What a caller writes: options that have a default may be left out. */
export type GivenOptions<S extends OptionSchema> = { readonly [K in RequiredKeys<S>]: ValueOf<S[K]> } & {
  readonly [K in Exclude<keyof S, RequiredKeys<S>>]?: ValueOf<S[K]> | undefined;
};

interface Settings<D> {
  readonly description?: string;
  readonly default?: D;
}

function base<D>(settings: Settings<D>): OptionBase<D> {
  return { description: settings.description ?? '', default: settings.default as D };
}

function range(settings: Range): Range {
  return {
    ...(settings.min === undefined ? {} : { min: settings.min }),
    ...(settings.above === undefined ? {} : { above: settings.above }),
    ...(settings.max === undefined ? {} : { max: settings.max }),
  };
}

/** Declares a whole number. Without `default` it must be given; `default: null` means off. */
export function integer<D extends Default<number> = undefined>(settings: Settings<D> & Range = {}): IntegerOption<D> {
  return { type: 'integer', ...base(settings), ...range(settings) };
}

/** Declares a finite number. Without `default` it must be given; `default: null` means off. */
export function number<D extends Default<number> = undefined>(settings: Settings<D> & Range = {}): NumberOption<D> {
  return { type: 'number', ...base(settings), ...range(settings) };
}

/** Declares a flag. */
export function boolean<D extends Default<boolean> = undefined>(settings: Settings<D> = {}): BooleanOption<D> {
  return { type: 'boolean', ...base(settings) };
}

/** Declares one word out of `choices`. */
export function choice<const C extends string, const D extends C | null | undefined = undefined>(
  choices: readonly C[],
  settings: Settings<D> = {},
): ChoiceOption<C, D> {
  return { type: 'choice', choices, ...base(settings) };
}

/** Declares a layer: an index, or `{ fraction }` of depth; see `resolveLayer`. */
export function layer<D extends Default<LayerChoice> = undefined>(settings: Settings<D> = {}): LayerOption<D> {
  return { type: 'layer', ...base(settings) };
}

/** Declares several layers: `{ from, to }` as shares of depth, or a list of layers; see `resolveLayers`. */
export function layers<D extends Default<LayersChoice> = undefined>(settings: Settings<D> = {}): LayersOption<D> {
  return { type: 'layers', ...base(settings) };
}

/** Declares a list whose elements are described by `items`, for example `list(layer(), { default: [] })`. */
export function list<I extends ItemOption, D extends Default<readonly RawValue<I>[]> = undefined>(
  items: I,
  settings: Settings<D> & { readonly minLength?: number } = {},
): ListOption<I, D> {
  const minLength = settings.minLength === undefined ? {} : { minLength: settings.minLength };
  return { type: 'list', items, ...base(settings), ...minLength };
}

/**
 * Checks a schema and returns it frozen.
 *
 * @throws OptionError if an option has no description or its own default is not allowed.
 */
export function defineOptions<const S extends OptionSchema>(schema: S): S {
  for (const [name, option] of Object.entries(schema)) {
    if (!/^[a-z][A-Za-z0-9]*$/.test(name)) {
      throw new OptionError(name, name, 'a camelCase name');
    }
    if (option.description === '') throw new OptionError(name, '', 'a description of one sentence');
    if (option.default !== undefined) checkValue(name, option, option.default);
  }
  return Object.freeze(schema);
}

/**
 * The full, validated options: what was given, and the default of everything else.
 *
 * @throws OptionError naming the option, what was given and what is allowed.
 */
export function parseOptions<const S extends OptionSchema>(schema: S, given: GivenOptions<S>): OptionsOf<S> {
  refuseUnknownKeys(schema, Object.keys(given));
  const result: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(schema)) {
    const value = (given as Record<string, unknown>)[name];
    if (value === undefined) {
      if (option.default === undefined) {
        throw new OptionError(name, undefined, allowedValues(option), missingMessage(name, option));
      }
      result[name] = option.default;
    } else {
      checkValue(name, option, value);
      result[name] = value;
    }
  }
  return result as OptionsOf<S>;
}

/**
 * Reads options as the command line writes them: `topK=128,reselectionLayers=13|40%,forceCurrent`. Lists are
 * separated by `|`, a fraction of depth is a percentage, `off` switches an option off where that is allowed, and a
 * flag's bare name means true. Only what the text names is returned; `parseOptions` adds the defaults.
 *
 * @throws OptionError for an unknown or repeated name or a value that is not allowed.
 */
export function optionsFromText<const S extends OptionSchema>(schema: S, text: string): Partial<OptionsOf<S>> {
  const result: Record<string, unknown> = {};
  for (const part of text.split(',').map((piece) => piece.trim())) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = (equals < 0 ? part : part.slice(0, equals)).trim();
    refuseUnknownKeys(schema, [name]);
    const option = schema[name] as Option;
    if (name in result) throw new OptionError(name, part, 'each option once');
    if (equals < 0 && option.type !== 'boolean') {
      throw new OptionError(name, part, `${name}=<value> with ${allowedValues(option)}`);
    }
    const value = equals < 0 ? true : valueFromText(option, part.slice(equals + 1).trim());
    checkValue(name, option, value);
    result[name] = value;
  }
  return result as Partial<OptionsOf<S>>;
}

/** Writes options as `optionsFromText` reads them. */
export function optionsToText(options: Readonly<Record<string, unknown>>): string {
  return Object.entries(options)
    .map(([name, value]) => `${name}=${valueToText(value)}`)
    .join(',');
}

/** The README's table of options, as Markdown. */
export function optionsTable(schema: OptionSchema): string {
  const rows = Object.entries(schema).map(([name, option]) => {
    const standard = option.default === undefined ? 'required' : `\`${valueToText(option.default)}\``;
    return [`\`${name}\``, allowedValues(option), standard, option.description];
  });
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(['Option', 'Allowed', 'Default', 'What it does']), '| --- | --- | --- | --- |', ...rows.map(line)].join(
    '\n',
  );
}

/** What an option accepts, in words: `an integer >= 1, or null (off)`. */
function allowedValues(option: Option): string {
  return option.default === null ? `${allowedRaw(option)}, or null (off)` : allowedRaw(option);
}

function refuseUnknownKeys(schema: OptionSchema, names: readonly string[]): void {
  const known = Object.keys(schema);
  for (const name of names) {
    if (Object.hasOwn(schema, name)) continue;
    const near = nearNames(name, known);
    const hint = near.length > 0 ? ` Did you mean ${near.join(' or ')}?` : '';
    const all = known.length > 0 ? known.join(', ') : 'no options at all';
    throw new OptionError(name, name, all, `There is no option ${JSON.stringify(name)}.${hint} Known: ${all}.`);
  }
}

function missingMessage(name: string, option: Option): string {
  return `option ${name} is required; allowed: ${allowedValues(option)}.`;
}

function checkValue(name: string, option: Option, value: unknown): void {
  if (value === null && option.default === null) return;
  if (!isAllowed(option, value)) throw new OptionError(name, value, allowedValues(option));
}

function isAllowed(option: Option, value: unknown): boolean {
  switch (option.type) {
    case 'integer':
      return Number.isSafeInteger(value) && inRange(option, value as number);
    case 'number':
      return Number.isFinite(value) && inRange(option, value as number);
    case 'boolean':
      return typeof value === 'boolean';
    case 'choice':
      return typeof value === 'string' && option.choices.includes(value);
    case 'layer':
      return isLayer(value);
    case 'layers':
      return isLayers(value);
    case 'list':
      return (
        Array.isArray(value) &&
        value.length >= (option.minLength ?? 0) &&
        value.every((item) => isAllowed(option.items, item))
      );
  }
}

function inRange({ min, above, max }: Range, value: number): boolean {
  return (
    value >= (min ?? Number.NEGATIVE_INFINITY) &&
    value > (above ?? Number.NEGATIVE_INFINITY) &&
    value <= (max ?? Number.POSITIVE_INFINITY)
  );
}

function allowedRaw(option: Option): string {
  switch (option.type) {
    case 'integer':
      return `an integer${rangeText(option)}`;
    case 'number':
      return `a number${rangeText(option)}`;
    case 'boolean':
      return 'true or false';
    case 'choice':
      return `one of ${option.choices.join(', ')}`;
    case 'layer':
      return 'a layer index >= 0, or a fraction of depth between 0 and 1';
    case 'layers':
      return 'a range of depth { from, to } within 0 and 1, or a list of layer indices and fractions';
    case 'list': {
      const least = option.minLength ? ` of at least ${option.minLength}` : '';
      return `a list${least}, each ${allowedRaw(option.items)}`;
    }
  }
}

function rangeText({ min, above, max }: Range): string {
  if (above !== undefined) return max === undefined ? ` > ${above}` : ` above ${above} and up to ${max}`;
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`;
  if (min !== undefined) return ` >= ${min}`;
  return max === undefined ? '' : ` <= ${max}`;
}

function valueFromText(option: Option, text: string): unknown {
  if (option.default === null && (text === 'off' || text === 'null')) return null;
  switch (option.type) {
    case 'integer':
    case 'number':
      return numberFromText(text);
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : text;
    case 'choice':
      return text;
    case 'layer':
      return layerFromText(text);
    case 'layers': {
      const [from, to, ...more] = text.split('-').map((end) => shareFromText(end.trim()));
      if (typeof from === 'number' && typeof to === 'number' && more.length === 0) return { from, to };
      return text === '' ? [] : text.split('|').map((item) => layerFromText(item.trim()));
    }
    case 'list':
      return text === '' ? [] : text.split('|').map((item) => valueFromText(option.items, item.trim()));
  }
}

function layerFromText(text: string): unknown {
  const share = shareFromText(text);
  return share === undefined ? numberFromText(text) : { fraction: share };
}

/** The share that a percentage says, or undefined. */
function shareFromText(text: string): number | undefined {
  const percent = text.endsWith('%') ? numberFromText(text.slice(0, -1)) : undefined;
  return typeof percent === 'number' ? percent / 100 : undefined;
}

/** Decimal numbers only: `Number` alone would also take '', '0x10' and 'Infinity'. */
function numberFromText(text: string): number | string {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : text;
}

function percentage(share: number): string {
  return `${Number((share * 100).toFixed(6))}%`;
}

function valueToText(value: unknown): string {
  if (value === null) return 'off';
  if (Array.isArray(value)) return value.map(valueToText).join('|');
  if (typeof value === 'object' && 'fraction' in value) return percentage(Number(value.fraction));
  if (typeof value === 'object' && 'from' in value && 'to' in value) {
    return `${percentage(Number(value.from))}-${percentage(Number(value.to))}`;
  }
  return String(value);
}
