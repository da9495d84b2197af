import { readFileSync } from 'node:fs';
import { type GoldenTensor, parseGoldenTensors } from '../src/testing/golden-tensors.ts';

/** Tensors of `test/golden/<name>.safetensors`. */
export function goldenTensors(name: string): (tensor: string) => GoldenTensor {
  return parseGoldenTensors(readFileSync(new URL(`./golden/${name}.safetensors`, import.meta.url)));
}
