import { expect, it } from 'vitest';
import { runCli } from '../src/run-cli.ts';

function run(line: string) {
  let [out, error] = ['', ''];
  const code = runCli(line.split(' ').filter(Boolean), {
    out: (text) => {
      out += text;
    },
    error: (text) => {
      error += text;
    },
  });
  return { code, out, error };
}

const published = '--layout 30x48x80 --window 18x24x24 --query-tile 4x8x8 --key-tile 2x8x8 --share 0.607';

it('check 5 on the command line', () => {
  const { code, out } = run(`simulate ${published} --stride 16x8x8 --json`);
  expect(code).toBe(0);
  expect(JSON.parse(out)).toEqual([
    {
      ...{ window: '18x24x24', stride: '16x8x8', queryTile: '4x8x8', keyTile: '2x8x8' },
      ...{ keyTilesTotal: 900, keyTilesVisitedMax: 81, keyTilesVisitedMean: 81 },
      ...{ flopSpeedup: 11.11, tileSpeedup: 11.11, perfectlyBlockSparse: true, endToEndSpeedup: 2.234 },
    },
  ]);
});

it('sweep prints a table', () => {
  const { code, out } = run(`sweep ${published}`);
  const lines = out.trim().split('\n');
  expect(code).toBe(0);
  expect(lines[0]?.split(/\s+/)).toEqual(['stride', 'tileSpeedup', 'perfectlyBlockSparse', 'endToEndSpeedup']);
  expect(lines.at(-1)?.split(/\s+/)).toEqual(['16x8x8', '11.11', 'true', '2.234']);
});

it('find, numbers for all axes, and dynamic tiling', () => {
  const { out } = run('find --layout 32x32 --window 8 --limit 1 --json');
  expect(JSON.parse(out)).toMatchObject([{ window: '8x8', tileSpeedup: 16, density: 0.0625 }]);
  const dynamic = run(`simulate ${published} --dynamic --causal 0 --dilation 1 --json`);
  expect(JSON.parse(dynamic.out)).toMatchObject([{ keyTilesVisitedMax: 176 }]);
});

it('--help explains, and what makes no sense is said with exit code 2', () => {
  expect(run('--help').out).toContain('simulate');
  for (const [line, message] of [
    ['', /simulate, sweep, find/],
    ['guess', /simulate, sweep, find/],
    ['simulate', /--layout and --window/],
    ['simulate --layout 8x8 --window 9', /window/],
    ['simulate --layout 8xa --window 4', /--layout is 8xa/],
    ['simulate --layout 8x8 --window 4 --query-tile 4x4', /go together/],
    ['find --layout 8x8 --window 4 --limit 0', /--limit/],
    ['simulate --layout 8 --window 4 --wdth 2', /wdth/],
    ['simulate --layout 8 --window -4', /window/],
    ['simulate --layout 8x1e1 --window 4', /--layout is 8x1e1/],
    ['simulate --layout 8x --window 4', /--layout is 8x;/],
    ['simulate --layout 0x8 --window 2', /positive integers/],
    ['simulate --layout 8x8 --window 4 --causal 2', /--causal is 2; it takes 0 or 1/],
    ['simulate --layout 8x8 --window 4 --share half', /attentionShare/],
    ['simulate --layout 8x8 --window 4 --share=', /attentionShare/],
    // What a command does not read would be passed over.
    ['simulate --layout 8x8 --window 4 --limit 2', /simulate takes no --limit/],
    ['sweep --layout 8x8 --window 4 --stride 2', /sweep takes no --stride/],
    ['find --layout 8x8 --window 4 --dilation 2 --causal 1', /find takes no --dilation, --causal/],
    ['toString --layout 8', /simulate, sweep, find/],
  ] as const) {
    const { code, out, error } = run(line);
    expect([line, code, out]).toEqual([line, 2, '']);
    expect(error).toMatch(message);
  }
});
