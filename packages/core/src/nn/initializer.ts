import type { Gpu } from '../device/gpu.ts';
import { scale } from '../ops/elementwise.ts';
import type { Seed } from '../random/seed.ts';
import { randomNormal, randomUniform } from '../random/uniform.ts';
import type { Shape } from '../tensor/shape.ts';
import { Parameter } from './parameter.ts';

/** Makes parameters with random numbers from one seed; each takes a stream of its own, in the order of creation. */
export class Initializer {
  readonly gpu: Gpu;
  readonly #seed: Seed;
  #stream = 0;

  constructor(gpu: Gpu, options: { readonly seed?: Seed } = {}) {
    this.gpu = gpu;
    this.#seed = options.seed ?? 0;
  }

  /** Uniform in [-bound, bound). */
  uniform(shape: Shape, bound: number): Parameter {
    return this.gpu.tidy(() => new Parameter(scale(randomUniform(this.gpu, shape, this.#next()), 2 * bound, -bound)));
  }

  /** Normal with mean 0. */
  normal(shape: Shape, deviation: number): Parameter {
    return this.gpu.tidy(() => new Parameter(scale(randomNormal(this.gpu, shape, this.#next()), deviation)));
  }

  /** One number everywhere. */
  constant(shape: Shape, value: number): Parameter {
    return this.gpu.tidy(() => {
      const zeros = this.gpu.zeros(shape);
      return new Parameter(value === 0 ? zeros : scale(zeros, 0, value));
    });
  }

  #next() {
    return { seed: this.#seed, stream: this.#stream++ };
  }
}
