import { ArgumentError } from '../../errors.ts';
import { defineKernel } from '../../kernels/kernel.ts';
import { copyInto } from '../../ops/copy.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Parameter } from '../parameter.ts';

const workgroupSize = 64;

/** One invocation per element: the average moves a share of the way. */
const emaKernel = defineKernel({
  name: 'ema',
  bindings: () => [
    { name: 'parameter', type: 'array<f32>', access: 'read' },
    { name: 'average', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['share', 'f32'],
  ],
  workgroupSize: () => workgroupSize,
  source: () => ({
    main: `
  let at = group * ${workgroupSize}u + lane;
  if (at >= params.size) { return; }
  average[at] += params.share * (parameter[at] - average[at]);`,
  }),
});

export interface EmaOptions {
  /** What stays of the average at each update, from 0 to below 1. */
  readonly decay: number;
}

/**
 * Exponential moving averages of trainable parameters, which often predict better than the last ones (Polyak averaging). They
 * begin at the parameters of the time of creation; an update is one dispatch per parameter.
 */
export class Ema {
  readonly #parameters: ReadonlyMap<string, Parameter>;
  readonly #averages: ReadonlyMap<string, Tensor>;
  readonly #decay: number;

  /** @throws ArgumentError for a decay out of its range */
  constructor(parameters: ReadonlyMap<string, Parameter>, { decay }: EmaOptions) {
    if (!(decay >= 0 && decay < 1)) throw new ArgumentError('Ema: decay', decay, '0 <= decay < 1');
    const averaged = [...parameters].filter(([, { trainable }]) => trainable);
    this.#parameters = new Map(averaged);
    this.#averages = copies(this.#parameters);
    this.#decay = decay;
  }

  /** `decay average + (1 - decay) parameter`, after a step. */
  update(): void {
    for (const [name, { tensor }] of this.#parameters) {
      tensor.gpu.launch(
        emaKernel,
        {},
        {
          bindings: [tensor, this.#averages.get(name) as Tensor],
          parameters: [tensor.size, 1 - this.#decay],
          workgroups: Math.ceil(tensor.size / workgroupSize),
          cost: { flops: 3 * tensor.size, bytes: 12 * tensor.size },
        },
      );
    }
  }

  /** The averages by parameter, f32. They stay this object's and change with {@link update}. */
  stateDict(): ReadonlyMap<string, Tensor> {
    return this.#averages;
  }

  /** Writes the averages into the parameters. */
  apply(): void {
    for (const [name, { tensor }] of this.#parameters) copyInto(tensor, this.#averages.get(name) as Tensor);
  }

  dispose(): void {
    for (const average of this.#averages.values()) average.dispose();
  }
}

/** Copies that live until they are disposed; none where memory runs out. */
function copies(parameters: ReadonlyMap<string, Parameter>): ReadonlyMap<string, Tensor> {
  const [first] = parameters.values();
  if (!first) return new Map();
  const { gpu } = first.tensor;
  return gpu.tidy(() => {
    const made = [...parameters].map(([name, { tensor }]): [string, Tensor] => {
      const copy = gpu.empty(tensor.shape);
      copyInto(copy, tensor);
      return [name, copy];
    });
    for (const [, copy] of made) gpu.keep(copy);
    return new Map(made);
  });
}
