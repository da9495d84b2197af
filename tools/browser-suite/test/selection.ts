/** Tests of the core that run in the browser: of a file those whose names fit. */
export interface SelectedTests {
  readonly what: string;
  readonly file: string;
  readonly names: RegExp;
  /** How many there are at least. */
  readonly least: number;
}

/** What browser and Node must agree on, in what takes seconds. */
export const tests: readonly SelectedTests[] = [
  {
    what: 'recording, errors, a lost device',
    file: 'gpu.gpu.test.ts',
    names: /./,
    least: 15,
  },
  { what: 'softmax', file: 'softmax.gpu.test.ts', names: /full device|refuses/, least: 5 },
  {
    what: 'products',
    file: 'matmul.gpu.test.ts',
    names: /runs on WebGPU defaults|transposes|equals PyTorch|nothing to sum|refuses/,
    least: 8,
  },
  {
    what: 'quantized weights',
    file: 'linear.gpu.test.ts',
    names: /gatedLinear q8_0|dequantize (q4_0|q8_0|q6_k)|linear q4_0/,
    least: 5,
  },
  {
    what: 'attention: dense, causal, windows, token lists',
    file: 'attention.gpu.test.ts',
    names: /defaults: (decode|causal prefill|sliding window)$|dense decode step|no row outside.*kvHead|wrong input/,
    least: 5,
  },
  {
    what: 'pages',
    file: 'cache-paged.gpu.test.ts',
    names: /report every|same integers|refuse what/,
    least: 3,
  },
  { what: 'the best of a row', file: 'top-k.gpu.test.ts', names: /leading axes|leaves no|refuses/, least: 3 },
  { what: 'caches', file: 'kv-cache.gpu.test.ts', names: /./, least: 15 },
];
