import { parseArgs } from 'node:util';
import { SaccadeError } from '@saccade/core';
import type { NeighborhoodOptions } from './neighborhood.ts';
import { chooseTiles, findPerfect, sweepStrides } from './search.ts';
import { endToEndSpeedup, type Simulation, simulate, type TileOptions } from './simulate.ts';

const usage = `Predicts what generalized neighborhood attention costs on a layout of tokens, without running it.

  saccade-gna simulate --layout 30x48x80 --window 18x24x24 --stride 16x8x8 --query-tile 4x8x8 --key-tile 2x8x8
  saccade-gna sweep    --layout 256x256 --window 80x80 --query-tile 16x16 --key-tile 16x8
  saccade-gna find     --layout 64x64 --window 16

simulate  tiles of keys that are visited, and the bounds on the speed-up
sweep     the strides of the window that raise the bound
find      windows, strides and tiles near the window that waste no work

  --layout AxBxC        tokens per axis, slowest first
  --window, --stride, --dilation
                        per axis, or one number for all; sweep and find try strides, find neither dilations nor causality
  --causal 1x0x0        axes on which no query sees behind itself
  --query-tile, --key-tile
                        tokens of a tile per axis; left out, tiles of 64 are chosen; find tries them
  --tokens 64           tokens of a tile, for find and where tiles are chosen: a power of two
  --dynamic             tiles of keys begin where a tile's window does
  --share 0.6           attention's share of a dense run: adds the end-to-end bound
  --limit 10            lines of find
  --json                JSON in place of a table
  --help
`;

const options = {
  layout: { type: 'string' },
  window: { type: 'string' },
  stride: { type: 'string' },
  dilation: { type: 'string' },
  causal: { type: 'string' },
  'query-tile': { type: 'string' },
  'key-tile': { type: 'string' },
  tokens: { type: 'string' },
  dynamic: { type: 'boolean' },
  share: { type: 'string' },
  limit: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

type Values = { readonly [K in keyof typeof options]?: string | boolean };

/** What the caller wrote cannot be understood. */
class CliUsageError extends Error {}

/** Where the command line writes. */
export interface CliStreams {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
}

/** Runs a command line; the result is the exit code: 0, or 2 where the arguments make no sense. */
export function runCli(args: readonly string[], { out, error }: CliStreams): number {
  try {
    const { values, positionals } = parsed(args);
    if (values.help) {
      out(usage);
      return 0;
    }
    const [command, ...rest] = positionals;
    if (!isCommand(command) || rest.length > 0) {
      throw new CliUsageError(`Expected one of ${Object.keys(commands).join(', ')}; --help explains.`);
    }
    const unread = unreadOptions[command].filter((name) => values[name] !== undefined);
    if (unread.length > 0) throw new CliUsageError(`${command} takes no --${unread.join(', --')}; --help explains.`);
    const rows = commands[command](values);
    out(values.json ? `${JSON.stringify(rows, undefined, 2)}\n` : table(rows));
    return 0;
  } catch (caught) {
    if (!SaccadeError.isInstance(caught) && !(caught instanceof CliUsageError)) throw caught;
    error(`${caught.message}\n`);
    return 2;
  }
}

type Command = keyof typeof commands;

function isCommand(name: string | undefined): name is Command {
  return name !== undefined && Object.hasOwn(commands, name);
}

/** What a command would pass over, so that it is refused. */
const unreadOptions = {
  simulate: ['limit'],
  sweep: ['limit', 'stride'],
  find: ['stride', 'dilation', 'causal', 'query-tile', 'key-tile'],
} as const;

function parsed(args: readonly string[]): { readonly values: Values; readonly positionals: readonly string[] } {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (caught) {
    throw new CliUsageError(caught instanceof Error ? caught.message : String(caught));
  }
}

/** A line of a result: what was simulated, and what came out. */
type Row = Readonly<Record<string, string | number | boolean>>;

const commands = {
  simulate: (values: Values): Row[] => {
    const { layout, neighborhood } = described(values);
    const tiles = tilesOf(values, layout, neighborhood);
    return [
      { ...shapes({ ...neighborhood, ...tiles }), ...numbers(simulate(layout, { ...neighborhood, ...tiles }), values) },
    ];
  },
  sweep: (values: Values): Row[] => {
    const { layout, neighborhood } = described(values);
    const tiles = tilesOf(values, layout, neighborhood);
    return sweepStrides(layout, { ...neighborhood, ...tiles }).map(({ stride, tileSpeedup, perfectlyBlockSparse }) => ({
      ...{ stride: stride.join('x'), tileSpeedup: rounded(tileSpeedup), perfectlyBlockSparse },
      ...endToEnd(tileSpeedup, values),
    }));
  },
  find: (values: Values): Row[] => {
    const { layout, neighborhood } = described(values);
    const tokens = wholeNumber('tokens', values.tokens) ?? 64;
    const limit = wholeNumber('limit', values.limit) ?? 10;
    const keyTiling = values.dynamic ? 'dynamic' : 'static';
    const { window } = neighborhood;
    return findPerfect(layout, { window, queryTokens: tokens, keyTokens: tokens, keyTiling, limit }).map((setting) => ({
      ...shapes(setting),
      ...{ density: rounded(setting.density), tileSpeedup: rounded(setting.tileSpeedup) },
      ...endToEnd(setting.tileSpeedup, values),
    }));
  },
};

function described(values: Values): { readonly layout: number[]; readonly neighborhood: NeighborhoodOptions } {
  const layout = sizes('layout', values.layout);
  const window = sizes('window', values.window);
  if (!layout || !window) throw new CliUsageError('--layout and --window must be given.');
  const [stride, dilation, causal] = [
    sizes('stride', values.stride),
    sizes('dilation', values.dilation),
    sizes('causal', values.causal),
  ].map((entries) => entries && broadcast(entries));
  if ([causal].flat().some((flag) => flag !== undefined && flag > 1))
    throw new CliUsageError(`--causal is ${values.causal}; it takes 0 or 1, of all axes or of each.`);
  return {
    layout,
    neighborhood: {
      window: broadcast(window),
      ...(stride === undefined ? {} : { stride }),
      ...(dilation === undefined ? {} : { dilation }),
      ...(causal === undefined
        ? {}
        : { causal: typeof causal === 'number' ? causal !== 0 : causal.map((flag) => flag !== 0) }),
    },
  };
}

/** One number for all axes is written alone. */
const broadcast = (entries: readonly number[]) => (entries.length === 1 ? (entries[0] as number) : entries);

function sizes(name: string, text: string | boolean | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  const parts = String(text).split('x');
  const entries = parts.map(Number);
  if (!parts.every((part) => /^\d+$/.test(part))) {
    throw new CliUsageError(`--${name} is ${text}; it takes whole numbers with x between them, such as 30x48x80.`);
  }
  return entries;
}

function wholeNumber(name: string, text: string | boolean | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new CliUsageError(`--${name} is ${text}; it takes a whole number over 0.`);
  return value;
}

function tilesOf(values: Values, layout: readonly number[], neighborhood: NeighborhoodOptions): TileOptions {
  const [queryTile, keyTile] = [sizes('query-tile', values['query-tile']), sizes('key-tile', values['key-tile'])];
  const keyTiling = values.dynamic ? ('dynamic' as const) : ('static' as const);
  if (queryTile && keyTile) return { queryTile, keyTile, keyTiling };
  if (queryTile || keyTile) throw new CliUsageError('--query-tile and --key-tile go together.');
  const tokens = wholeNumber('tokens', values.tokens) ?? 64;
  return { ...chooseTiles(layout, { ...neighborhood, queryTokens: tokens, keyTokens: tokens }), keyTiling };
}

const rounded = (value: number) => Number(value.toPrecision(4));

function shapes(setting: NeighborhoodOptions & TileOptions): Row {
  const { window, stride = 1, queryTile, keyTile } = setting;
  const text = (value: number | readonly number[]) => [value].flat().join('x');
  return { window: text(window), stride: text(stride), queryTile: text(queryTile), keyTile: text(keyTile) };
}

function numbers(simulation: Simulation, values: Values): Row {
  const { keyTilesTotal, keyTilesVisitedMax, keyTilesVisitedMean, flopSpeedup, tileSpeedup, perfectlyBlockSparse } =
    simulation;
  return {
    ...{ keyTilesTotal, keyTilesVisitedMax, keyTilesVisitedMean: rounded(keyTilesVisitedMean) },
    ...{ flopSpeedup: rounded(flopSpeedup), tileSpeedup: rounded(tileSpeedup), perfectlyBlockSparse },
    ...endToEnd(tileSpeedup, values),
  };
}

function endToEnd(speedup: number, { share }: Values): Row {
  if (share === undefined) return {};
  const attentionShare = share === '' ? Number.NaN : Number(share);
  return { endToEndSpeedup: rounded(endToEndSpeedup(attentionShare, speedup)) };
}

/** Columns under their names. */
function table(rows: readonly Row[]): string {
  const [first] = rows;
  if (!first) return 'nothing found\n';
  const names = Object.keys(first);
  const cells = [names, ...rows.map((row) => names.map((name) => String(row[name])))];
  const widths = names.map((_, column) => Math.max(...cells.map((line) => (line[column] as string).length)));
  return cells
    .map(
      (line) =>
        `${line
          .map((cell, column) => cell.padEnd(widths[column] as number))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
