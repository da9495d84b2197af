import { AdapterNotFoundError, DeviceLostError, LimitError, OutOfMemoryError, RefusedError } from '@saccade/core';
import { ModelConfigError, ModelNotFoundError, WeightFileError } from '@saccade/models';
import type { Trouble } from '../protocol.ts';

const kinds = [
  {
    type: AdapterNotFoundError,
    kind: 'no-webgpu',
    title: 'This browser gives no WebGPU',
    advice:
      'Use a recent Chrome, Edge, Firefox or Safari over https or localhost. In Chrome, chrome://gpu says why WebGPU is off. Files of results can be opened and compared without it.',
  },
  {
    type: DeviceLostError,
    kind: 'device-lost',
    title: 'The GPU device was lost',
    advice:
      'The driver was reset or the browser took the GPU away. Open it again; the model is loaded anew. If it happens again, choose a smaller model or a shorter prompt.',
  },
  {
    type: LimitError,
    kind: 'limits',
    title: 'This adapter’s limits are too small',
    advice: 'Choose a smaller model or a shorter prompt, or open the page on another adapter.',
  },
  {
    type: OutOfMemoryError,
    kind: 'memory',
    title: 'The GPU has not enough memory',
    advice: 'Close other tabs that use the GPU, or choose a smaller model or a shorter prompt.',
  },
  {
    type: ModelNotFoundError,
    kind: 'model',
    title: 'The model could not be downloaded',
    advice:
      'Check the connection and the name, and try again: what has arrived is kept. Or drop the model’s files here, or take one that ships with the page.',
  },
  {
    type: WeightFileError,
    kind: 'model',
    title: 'The model’s files cannot be read',
    advice:
      'A GGUF file is enough by itself. Of a safetensors model drop config.json, tokenizer.json and the weights together.',
  },
  {
    type: ModelConfigError,
    kind: 'model',
    title: 'This kind of model is not supported',
    advice: 'Take a model of the Llama, Qwen, Gemma, GPT-2 or GPT-NeoX families.',
  },
  {
    type: RefusedError,
    kind: 'refused',
    title: 'Method and model do not fit',
    advice: 'Choose another method, or other options of it.',
  },
] as const;

/** An error for people: what happened and what to do. */
export function explain(error: unknown): Trouble {
  const detail = error instanceof Error ? error.message : String(error);
  const known = kinds.find(({ type }) => type.isInstance(error));
  if (known) return { kind: known.kind, title: known.title, detail, advice: known.advice };
  return { kind: 'failed', title: 'The run failed', detail, advice: 'Change the set-up and run again.' };
}
