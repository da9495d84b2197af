import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { describeEnvironment } from '../src/result-file/environment.ts';
import { joinResultFiles } from '../src/result-file/join.ts';
import { readResultFile, writeResultFile } from '../src/result-file/read-write.ts';
import { qualityNames } from '../src/result-file/types.ts';
import { ResultFileError, validateResultFile } from '../src/result-file/validate.ts';
import { sampleFile } from './sample-file.ts';

type Json = Record<string, unknown>;

/** Sets (or, with undefined, removes) the value at a path such as `results/0/budget`. */
function changed(path: string, value: unknown): unknown {
  const file = JSON.parse(JSON.stringify(sampleFile())) as Json;
  const keys = path.split('/');
  const last = keys.pop() as string;
  const parent = keys.reduce<Json>((node, key) => node[key] as Json, file);
  if (value === undefined) delete parent[last];
  else parent[last] = value;
  return file;
}

const folder = mkdtempSync(join(tmpdir(), 'saccade-bench-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('joinResultFiles', () => {
  const read = (workingSetBytes: number, value: number) =>
    ({ name: 'read', description: '', unit: 'byte/s', workingSetBytes, value }) as const;

  it('keeps every row, and of a peak or a work the last', () => {
    const file = sampleFile();
    const peaks = (...of: ReturnType<typeof read>[]) => ({ ...file, roofline: { peaks: of } });
    const joined = joinResultFiles([peaks(read(1, 10), read(2, 20)), peaks(read(2, 30))]);
    expect(joined.roofline?.peaks).toEqual([read(1, 10), read(2, 30)]);
    expect(joined.results).toHaveLength(2 * file.results.length);
    expect(joined.environment.commandLine).toBe(`${file.environment.commandLine}; ${file.environment.commandLine}`);
    expect(validateResultFile(joined)).toEqual(joined);
    const peerMs = { median: 2, p10: 1, p90: 3, n: 4 };
    const row = { peer: 'another', peerMs, oursMs: peerMs, ratio: 1, peerError: null, oursError: null, judged: false };
    const peers = (work: string, ratio: number) => ({ ...file, peers: [{ ...row, work, ratio }] });
    const works = joinResultFiles([peers('matmul', 1), peers('attention', 2), peers('matmul', 3)]).peers;
    expect(works?.map(({ work, ratio }) => [work, ratio])).toEqual([
      ['matmul', 3],
      ['attention', 2],
    ]);
    const absence = { work: 'matmul', peer: 'another', status: 'timed out', reason: '' } as const;
    const absent = { ...file, unmeasuredPeers: [absence] };
    const kept = (...files: (typeof absent | ReturnType<typeof peers>)[]) => {
      const { peers: measured = [], unmeasuredPeers = [] } = joinResultFiles(files);
      return [measured.length, unmeasuredPeers.length];
    };
    expect(kept(absent, peers('matmul', 1))).toEqual([1, 0]);
    expect(kept(peers('matmul', 1), absent)).toEqual([0, 1]);
  });

  it('refuses files of different adapters', () => {
    const file = sampleFile();
    const { environment } = file;
    const other = { ...file, environment: { ...environment, adapter: null } };
    expect(() => joinResultFiles([file, other])).toThrow(/different adapters/);
    expect(() => joinResultFiles([])).toThrow(/no file/);
  });
});

describe('validateResultFile', () => {
  it('accepts every form that the schema has', () => {
    expect(validateResultFile(sampleFile())).toEqual(sampleFile());
    expect(() => validateResultFile(changed('roofline', undefined))).not.toThrow();
    const peerMs = { median: 2, p10: 1, p90: 3, n: 4 };
    const unknown = { peerError: null, oursError: null, judged: false };
    const peer = { work: 'model decode', peer: 'another', peerMs, oursMs: peerMs, ratio: 1, ...unknown };
    expect(() => validateResultFile(changed('peers', [peer]))).not.toThrow();
    const absence = { work: 'model decode', peer: 'another', status: 'timed out', reason: 'no answer' };
    expect(() => validateResultFile(changed('unmeasuredPeers', [absence]))).not.toThrow();
    expect(() => validateResultFile(changed('unmeasuredPeers', [{ ...absence, status: 'late' }]))).toThrow(/status/);
    expect(() => validateResultFile(changed('peers', [{ engine: 'another' }]))).toThrow(/peerMs/);
    const picture = { scenario: 's', model: null, title: 't', caption: '', xLabel: '', yLabel: '', marks: [[0, 1]] };
    expect(() => validateResultFile(changed('pictures', [{ ...picture, values: [[1, null]] }]))).not.toThrow();
    expect(() => validateResultFile(changed('pictures', [{ ...picture, values: [[2]] }]))).toThrow(/pictures/);
    expect(() => validateResultFile(changed('results', []))).not.toThrow();
    expect(() => validateResultFile(changed('environment/adapter', null))).not.toThrow();
    expect(() => validateResultFile(changed('results/0/quality/perplexity', 12.5))).not.toThrow();
    expect(() =>
      validateResultFile(changed('results/0/quality/yesRatio', { median: 2, p10: 1, p90: 3, n: 4 })),
    ).not.toThrow();
  });

  const fields = [
    'scenario',
    'model',
    'method',
    'options',
    'baseline',
    'seed',
    'samples',
    'budget',
    'density',
    'status',
  ];
  it.each([...fields, 'quality', 'speed', 'memory'])('wants the field %s of a row', (field) => {
    expect(() => validateResultFile(changed(`results/1/${field}`, undefined))).toThrow(field);
  });

  it.each([
    'schema',
    'environment',
    'results',
    'environment/date',
    'environment/adapter/driver',
    'environment/packages',
  ])('wants %s', (path) => {
    expect(() => validateResultFile(changed(path, undefined))).toThrow(ResultFileError);
  });

  it.each<[string, unknown]>([
    ['schema', 'saccade-bench/2'],
    ['surprise', 1],
    ['results', {}],
    ['results/0/surprise', 1],
    ['results/0/scenario', 'needle'],
    ['results/0/method', 'dense:topK=3'],
    ['results/0/method', 'TidalDecode'],
    ['results/0/options', []],
    ['results/0/options/contextLength', 10.5],
    ['results/0/seed', -1],
    ['results/0/samples', 1.5],
    ['results/0/budget', 0],
    ['results/0/budget', 1.2],
    ['results/0/density', 'half'],
    ['results/0/status', 'fine'],
    ['results/0/quality', null],
    ['results/0/quality/happiness', 1],
    ['results/0/quality/accuracy', '95%'],
    ['results/0/quality/accuracy', { value: 1, low: 1, high: 1 }],
    ['results/0/quality/accuracy', { value: 1, low: 1, high: 1, n: 0 }],
    ['results/0/quality/accuracy', { value: 0.9, low: 0.95, high: 1, n: 3 }],
    ['results/0/quality/accuracy', { median: 2, p10: 3, p90: 4, n: 3 }],
    ['results/0/quality/accuracy', { median: 2, p10: 1, p90: 4, n: 3, mean: 2 }],
    ['results/0/speed/prefillMs', 12],
    ['results/0/speed/attentionMs', { value: 1, low: 1, high: 1, n: 3 }],
    ['results/0/speed/decodeMsPerToken', { median: -1, p10: -2, p90: 0, n: 3 }],
    ['results/0/speed/tokensPerJoule', 5],
    ['results/0/memory/peakBytes', '3 GB'],
    ['environment/date', 'yesterday'],
    ['environment/cpu', 'fast'],
    ['roofline/peaks/0/unit', 'furlong/s'],
    ['peers', {}],
  ])('refuses %s = %j', (path, value) => {
    expect(() => validateResultFile(changed(path, value))).toThrow(ResultFileError);
  });

  it('wants a dense row for each scenario and model', () => {
    const file = sampleFile();
    const results = file.results.filter(({ method, scenario }) => method !== 'dense' || scenario !== 'language/needle');
    expect(() => validateResultFile({ ...file, results })).toThrow('no dense row for language/needle on tiny');
  });

  it('names the place', () => {
    expect(() => validateResultFile(changed('results/2/samples', 'many'))).toThrow('/results/2/samples');
  });

  it('has the same closed list of qualities as the types', () => {
    const schema = JSON.parse(
      readFileSync(new URL('../schema/saccade-bench-1.schema.json', import.meta.url), 'utf8'),
    ) as {
      definitions: { row: { properties: { quality: { properties: object } } } };
    };
    expect(Object.keys(schema.definitions.row.properties.quality.properties)).toEqual([...qualityNames]);
  });
});

describe('files', () => {
  it('reads what it wrote, in folders that it made, and leaves nothing else', () => {
    const path = join(folder, 'a', 'b', 'file.json');
    writeResultFile(path, sampleFile());
    expect(readResultFile(path)).toEqual(sampleFile());
    expect(readdirSync(join(folder, 'a', 'b'))).toEqual(['file.json']);
  });

  it('does not write what it would not read', () => {
    const path = join(folder, 'bad.json');
    const bad = { ...sampleFile(), schema: 'other' } as unknown as ReturnType<typeof sampleFile>;
    expect(() => writeResultFile(path, bad)).toThrow(ResultFileError);
    expect(readdirSync(folder)).not.toContain('bad.json');
  });
});

it('describes this machine in the form of the schema', () => {
  const environment = describeEnvironment(undefined, { commandLine: 'x', quick: false, leftOut: [] });
  expect(() => validateResultFile({ ...sampleFile(), environment })).not.toThrow();
  expect(environment.node).toBe(process.version);
  expect(environment.packages['@saccade/core']).toMatch(/^\d+\.\d+\.\d+/);
  expect(environment.packages.webgpu).toMatch(/^\d+\.\d+\.\d+/);
});
