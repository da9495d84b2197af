import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { htmlReport } from '../src/report/html.ts';
import { markdownReport } from '../src/report/markdown.ts';
import type { ResultFile } from '../src/result-file/types.ts';
import { validateResultFile } from '../src/result-file/validate.ts';
import { scenario, testRegistry } from './fixtures.ts';
import { sampleFile } from './sample-file.ts';

const registry = testRegistry([scenario('language/needle', 'language')]);

/** Parses the page of a file. */
const pageOf = (file: ResultFile) => parseHTML(htmlReport(file, registry)).document;

const page = pageOf(sampleFile());

const texts = (selector: string) => [...page.querySelectorAll(selector)].map((node) => node.textContent ?? '');

it('says first what a reader must know, in both forms', () => {
  const file = sampleFile();
  const noticed = { ...file, environment: { ...file.environment, notice: 'Another <model> ran.' } };
  expect(pageOf(noticed).querySelector('h1 ~ p.notice')?.textContent).toBe('Another <model> ran.');
  expect(markdownReport(noticed, registry)).toMatch(/^# [^\n]+\n\n> \*\*Another <model> ran\.\*\*\n/);
  expect(page.querySelector('.notice')).toBeNull();
});

describe('htmlReport', () => {
  it('has a section per scenario and model, with title and description where the bench knows it', () => {
    expect(texts('section h2')).toEqual([
      'Title of language/needle: tiny',
      'attention/decode',
      'language/decode: tiny',
    ]);
    expect(page.querySelector('section p')?.textContent).toBe('What language/needle does.');
  });

  it('has every row, with method, options, budget, interval and remark', () => {
    const rows = texts('section tbody tr');
    expect(rows).toHaveLength(sampleFile().results.length);
    const needle = rows.find((row) => row.startsWith('tidaldecode') && row.includes('topK=410'));
    expect(needle).toMatch(/4,096.*10%.*13%.*ok.*\[.*%\]/);
    expect(rows.some((row) => row.includes('refused') && row.includes('needs <image> spans'))).toBe(true);
    expect(texts('section tbody tr.dense').every((row) => row.startsWith('dense'))).toBe(true);
  });

  it('shows grids of images with what stands in them, and the schema takes them', () => {
    const grid = {
      scenario: 'language/needle',
      model: 'tiny',
      title: 'Images',
      caption: 'Two of them.',
      columns: ['dense', 'picker'],
      rows: ['class 0'],
      png: 'iVBORw0KGgo=',
    } as const;
    const file = { ...sampleFile(), pictures: [grid] };
    expect(validateResultFile(file)).toEqual(file);
    const image = pageOf(file).querySelector('section figure img');
    expect(image?.getAttribute('src')).toBe(`data:image/png;base64,${grid.png}`);
    expect(image?.getAttribute('alt')).toBe('Images; columns: dense, picker; rows: class 0');
  });

  it('shows each picture in its section, with a cell for every value and marked ones outlined', () => {
    const picture = {
      scenario: 'language/needle',
      model: 'tiny',
      title: 'Where <it> looks',
      caption: 'A matrix.',
      xLabel: 'key',
      yLabel: 'query',
      values: [
        [0.25, null, 1],
        [0, 0.5, null],
      ],
      marks: [[0, 2]],
    } as const;
    const shown = pageOf({ ...sampleFile(), pictures: [picture] });
    const figures = [...shown.querySelectorAll('section figure')].filter((figure) =>
      figure.textContent?.includes('A matrix.'),
    );
    expect(figures).toHaveLength(1);
    expect(figures[0]?.closest('section')?.querySelector('h2')?.textContent).toContain('language/needle');
    expect(figures[0]?.querySelector('strong')?.textContent).toBe('Where <it> looks');
    const groups = [...(figures[0]?.querySelectorAll('g[aria-label="cell"]') ?? [])];
    expect(groups.map((group) => group.querySelectorAll('rect').length)).toEqual([4, 1]);
    expect(groups[0]?.querySelector('rect')?.getAttribute('fill-opacity')).toBe('0.25');
  });

  it('wraps options, which would push every number off the page', () => {
    const cells = [...page.querySelectorAll('section td')].filter((cell) => cell.textContent?.includes('topK=410'));
    expect(cells.map((cell) => cell.className)).toEqual(cells.map(() => 'wide'));
    expect(cells.length).toBeGreaterThan(0);
  });

  it('draws quality against budget and time against length', () => {
    expect(texts('figcaption strong')).toEqual([
      'Accuracy against budget',
      'Attention (ms) against context length',
      'Prefill (ms) against context length',
      'Decoding (ms per token) against context length',
    ]);
    expect(page.querySelectorAll('figure .chart svg')).toHaveLength(4);
  });

  it('draws each point once, and its interval', () => {
    const [accuracy, attention] = [...page.querySelectorAll('figure .chart svg')];
    const marks = (svg: Element | undefined, label: string) =>
      svg?.querySelectorAll(`[aria-label="${label}"] > *, [aria-label="${label}"] path`).length ?? 0;
    // Four methods at three budgets and two lengths; three lines of four lengths.
    expect(accuracy?.querySelectorAll('[aria-label="dot"] path, [aria-label="dot"] circle')).toHaveLength(24);
    expect(attention?.querySelectorAll('[aria-label="dot"] path, [aria-label="dot"] circle')).toHaveLength(12);
    expect(attention?.querySelectorAll('[aria-label="rule"] line')).toHaveLength(12);
    expect(marks(accuracy, 'line')).toBeGreaterThanOrEqual(8);
  });

  it('puts larger values higher', () => {
    const svg = [...page.querySelectorAll('figure .chart svg')][1];
    const heights = [...(svg?.querySelectorAll('[aria-label="dot"]') ?? [])].map((group) =>
      [...group.children].map((mark) =>
        Number(
          /translate\([^,]+,([^)]+)\)|$/.exec(mark.getAttribute('transform') ?? '')?.[1] ?? mark.getAttribute('cy'),
        ),
      ),
    );
    // The dense line grows with the length: each next point has a smaller y.
    const dense = heights[0] as number[];
    expect(dense).toHaveLength(4);
    expect(dense.every(Number.isFinite)).toBe(true);
    expect([...dense].sort((a, b) => b - a)).toEqual(dense);
  });

  it('tells lines of one method apart by the option that differs', () => {
    const legends = [...page.querySelectorAll('figure')].map((figure) =>
      [...figure.querySelectorAll('.legend li')].map((item) => item.textContent),
    );
    expect(legends[0]).toEqual(['Dense attention', 'tidaldecode', 'random-tokens', 'sinks-window', 'oracle-top-k']);
    expect(legends[1]).toEqual(['Dense attention', 'token-list (lists=queryHead)', 'token-list (lists=kvHead)']);
  });

  it('says the most important first', () => {
    const lines = texts('.headline li');
    expect(lines).toHaveLength(3);
    expect(lines[1]).toMatch(/fastest is token-list \(lists=kvHead\) with 8,192 tokens of context, 24.2 .* as dense/);
  });

  it('shows peaks and environment', () => {
    const body = page.body?.textContent ?? '';
    expect(body).toContain('61 Gflop/s');
    expect(body).toContain('11.2 Gbyte/s [10.7 Gbyte/s, 11.6 Gbyte/s]');
    for (const fact of [
      'llvmpipe',
      'Mesa 25.0.7',
      'no real GPU',
      'v20.20.0',
      '--quick',
      '0123456789ab+',
      'A processor',
    ]) {
      expect(body).toContain(fact);
    }
  });

  it('needs no network', () => {
    const html = htmlReport(sampleFile(), registry);
    expect(html).not.toMatch(/(src|href)=["']?(https?:)?\/\//);
    expect(html).not.toMatch(/<(script|link|iframe|img)\b/);
    expect(html).not.toMatch(/@import|url\(\s*["']?https?:/);
  });

  it('escapes what files say', () => {
    const file = sampleFile();
    const results = file.results.map((row) => ({ ...row, message: '<script>alert("x")</script>', model: 'a<b>' }));
    const html = htmlReport({ ...file, results }, registry);
    expect(html).not.toContain('<script>');
    expect(html).toContain('&lt;script&gt;');
    expect(html).not.toContain('a<b>');
  });

  it('also shows a file without any number', () => {
    const file = sampleFile();
    const failed = file.results
      .filter(({ method }) => method === 'dense')
      .map((row) => ({ ...row, status: 'failed' as const, message: 'no weights', quality: {}, speed: {}, memory: {} }));
    const document = pageOf({ ...file, results: failed });
    expect(document.querySelectorAll('svg')).toHaveLength(0);
    expect(document.querySelector('.headline')?.textContent).toContain('2 of 2 measurements failed');
    expect(document.querySelectorAll('td.status-bad')).toHaveLength(failed.length);
  });

  it('draws a single length', () => {
    const file = sampleFile();
    const one = file.results.filter(({ options }) => options.contextLength === 4096);
    expect(pageOf({ ...file, results: one }).querySelectorAll('figure .chart svg')).toHaveLength(2);
  });
});

describe('markdownReport', () => {
  const report = markdownReport(sampleFile(), registry);

  it('has a table row per result and aligned columns', () => {
    const rows = report
      .split('\n')
      .filter((line) => /^\| (dense|tidaldecode|random|sinks|oracle|token|other)/.test(line));
    expect(rows).toHaveLength(sampleFile().results.length);
    const table = report.split('\n\n').find((part) => part.startsWith('| Method'));
    expect(new Set(table?.split('\n').map((line) => line.length)).size).toBe(1);
  });

  it('shows fractions of depth as the command line takes them, with pipes escaped', () => {
    expect(report).toContain('reselectionLayers=40%');
  });
});
