import type { Gpu } from '../../device/gpu.ts';
import { defineKernel } from '../../kernels/kernel.ts';
import { exponentBits } from '../../kernels/wgsl.ts';
import { workgroupReduction } from '../../kernels/wgsl-reduce.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Gradients } from '../module-gradients.ts';
import { partialSquares } from '../optim/global-norm.ts';

const lanes = 64;

/** What became of a step, as a report holds it. */
const outcome = { made: 0, skipped: 1, failed: 2 } as const;

/**
 * One workgroup decides over a step. State: the loss scale, steps since it last changed, whether a step has failed, steps that were
 * skipped. Bits are looked at because WGSL may assume that NaN and infinity do not occur.
 */
const stepControlKernel = defineKernel({
  name: 'stepControl',
  bindings: () => [
    { name: 'loss', type: 'array<u32>', access: 'read' },
    { name: 'squares', type: 'array<u32>', access: 'read' },
    { name: 'state', type: 'array<f32>', access: 'read_write' },
    { name: 'control', type: 'array<f32>', access: 'read_write' },
    { name: 'report', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['parts', 'u32'],
    ['most', 'f32'],
    ['growth_interval', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: (_, capabilities) => ({
    declarations: `
fn bad(bits: u32) -> f32 { return select(0.0, 1.0, (bits & ${exponentBits.f32}u) == ${exponentBits.f32}u); }
${workgroupReduction('join', lanes, 'a + b', capabilities, 'vec2f')}`,
    main: `
  var mine = vec2f();
  for (var i = lane; i < params.parts; i += ${lanes}u) {
    let broken = bad(squares[i]);
    mine += vec2f(select(bitcast<f32>(squares[i]), 0.0, broken > 0.0), broken);
  }
  let all = join(mine, lane);
  if (lane > 0u) { return; }
  let scale = state[0];
  let scaled = params.growth_interval > 0u;
  let overflow = all.y > 0.0 || !(all.x < 3e38);
  let failed = state[2] > 0.0 || bad(loss[0]) > 0.0 || (overflow && !(scaled && scale > 1.0));
  let made = !(failed || overflow);
  let norm = sqrt(all.x) / scale;
  var factor = 1.0 / scale;
  if (params.most > 0.0) { factor *= min(1.0, params.most / (norm + 1e-6)); }
  control[0] = select(0.0, factor, made);
  control[1] = select(0.0, 1.0, made);
  report[0] = loss[0];
  report[1] = select(bitcast<u32>(norm), ${exponentBits.f32}u, overflow);
  report[2] = bitcast<u32>(scale);
  report[3] = bitcast<u32>(select(select(${outcome.made}.0, ${outcome.skipped}.0, overflow), ${outcome.failed}.0, failed));
  if (failed) {
    state[2] = 1.0;
  } else if (scaled) {
    if (overflow) {
      state[0] = scale * 0.5;
      state[1] = 0.0;
      state[3] += 1.0;
    } else if (state[1] + 1.0 >= f32(params.growth_interval)) {
      state[0] = min(scale * 2.0, 0x1p24f);
      state[1] = 0.0;
    } else {
      state[1] += 1.0;
    }
  }`,
  }),
});

/** What a step came to, read from the GPU. */
export interface StepReport {
  readonly loss: number;
  /** Of all gradients together, before clipping; Infinity where one holds NaN or infinity. */
  readonly gradientNorm: number;
  /** The loss scale of the step; 1 without scaling. */
  readonly lossScale: number;
  /** `skipped`: the scaled gradients overflowed and nothing was changed. `failed`: this step or an earlier one met NaN or infinity. */
  readonly outcome: keyof typeof outcome;
}

export interface StepControlOptions {
  /** Most that the global norm of the gradients may be; they are scaled down to it. 0: no limit. */
  readonly clip: number;
  /** Loss scaling: at the beginning, and after how many good steps it doubles. */
  readonly scaling?: { readonly scale: number; readonly growthInterval: number } | undefined;
}

/**
 * Decides on the GPU what becomes of each step, so that nothing waits: clipping, the loss scale, and that parameters are left alone
 * from the first NaN or infinity on.
 */
export class StepControl {
  /** f32 []: multiplies the loss. Changes from step to step. */
  readonly lossScale: Tensor;
  /** f32 [4], see the kernel. Part of a run's checkpoint. */
  readonly state: Tensor;
  readonly #options: StepControlOptions;

  constructor(gpu: Gpu, options: StepControlOptions) {
    this.#options = options;
    this.state = gpu.keep(gpu.tensor([options.scaling?.scale ?? 1, 0, 0, 0]));
    this.lossScale = gpu.keep(gpu.tidy(() => this.state.slice(0, 0, 1).reshape([])));
  }

  /**
   * Decides over one step. In a scope.
   *
   * @param loss f32 [], not scaled
   * @param gradients of the scaled loss
   * @returns `control` f32 [2] as optimizers take it, and `report` u32 [4], which {@link readReports} understands
   */
  decide(loss: Tensor, gradients: Gradients): { control: Tensor; report: Tensor } {
    const { gpu } = loss;
    return gpu.tidy(() => {
      const squares = partialSquares(Object.values(gradients));
      const [control, report] = [gpu.empty([2]), gpu.empty([4], 'u32')];
      gpu.launch(
        stepControlKernel,
        {},
        {
          bindings: [loss, squares, this.state, control, report],
          parameters: [squares.size, this.#options.clip, this.#options.scaling?.growthInterval ?? 0],
          workgroups: 1,
          cost: { flops: squares.size, bytes: 4 * squares.size },
        },
      );
      return { control, report };
    });
  }

  dispose(): void {
    this.lossScale.dispose();
    this.state.dispose();
  }
}

/** One readback for all. */
export async function readReports(reports: readonly Tensor[]): Promise<StepReport[]> {
  const [first] = reports;
  if (!first) return [];
  const data = await first.gpu.read(reports);
  return data.map((words) => {
    const [loss = 0, gradientNorm = 0, lossScale = 1, code = 0] = new Float32Array(Uint32Array.from(words).buffer);
    const found = (Object.keys(outcome) as (keyof typeof outcome)[]).find((name) => outcome[name] === code);
    return { loss, gradientNorm, lossScale, outcome: found ?? 'failed' };
  });
}
