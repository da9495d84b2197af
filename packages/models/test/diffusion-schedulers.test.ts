import { readFileSync } from 'node:fs';
import { ArgumentError } from '@saccade/core';
import { assertClose, parseGoldenTensors } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { planSteps, type StepRequest } from '../src/diffusion/schedulers/plan-steps.ts';
import { type SolverName, schedulerConfig } from '../src/diffusion/schedulers/scheduler-config.ts';
import type { SolverStep } from '../src/diffusion/schedulers/solver-step.ts';
import { ModelConfigError } from '../src/index.ts';
import { goldenPath } from './golden-folder.ts';

const golden = parseGoldenTensors(readFileSync(goldenPath('diffusion/schedulers.safetensors')));
const configs = JSON.parse(readFileSync(goldenPath('diffusion/schedulers.json'), 'utf8')) as Record<string, object>;
const size = 24;

/** The oracle's toy network on a sample [1, 2, 3, 4]. */
function predict(sample: Float64Array, timestep: number): Float64Array {
  return sample.map((_, at) => Math.tanh(0.7 * (sample[at - (at % 4) + 3 - (at % 4)] as number) + 0.001 * timestep));
}

/** One step in f64. */
function advance(step: SolverStep, sample: Float64Array, previous: Float64Array | undefined, noise: Float64Array) {
  const prediction = predict(sample, step.timestep);
  const { clip = Number.POSITIVE_INFINITY, next } = step;
  const clean = sample.map((value, at) => {
    const estimate =
      (step.clean.sample && step.clean.sample * value) + step.clean.prediction * (prediction[at] as number);
    return Math.min(Math.max(estimate, -clip), clip);
  });
  const after = sample.map(
    (value, at) =>
      next.sample * value +
      next.prediction * (prediction[at] as number) +
      next.clean * (clean[at] as number) +
      next.previousClean * (previous?.[at] ?? 0) +
      next.noise * (noise[at] as number),
  );
  return { clean, after };
}

describe('schedulers', () => {
  it.each(Object.keys(configs))('%s: every step is diffusers’ own', (name) => {
    const config = schedulerConfig(configs[name]);
    const timesteps = [...golden(`${name}.timesteps`).data];
    const request: StepRequest = { steps: timesteps.length, ...(name === 'ddim-eta' ? { eta: 0.6 } : {}) };
    const plan = planSteps(config.solver as SolverName, config, request);
    assertClose(
      plan.map(({ timestep }) => timestep),
      timesteps,
      { relative: 1e-6 },
    );
    const at = (part: string, index: number) =>
      Float64Array.from(golden(`${name}.${part}`).data.slice(index * size, (index + 1) * size) as Float32Array);
    let previous: Float64Array | undefined;
    plan.forEach((step, index) => {
      const { clean, after } = advance(step, at('samples', index), previous, at('noises', index));
      assertClose(after, at('samples', index + 1), { absolute: 1e-5, relative: 1e-5 });
      previous = clean;
    });
    expect(plan.length).toBe(timesteps.length);
  });

  it('know how much noise is in the sample that a step begins with', () => {
    for (const name of ['ddpm', 'ddim', 'dpm', 'cogvideox']) {
      const config = schedulerConfig(configs[name]);
      for (const { level } of planSteps(config.solver as SolverName, config, { steps: 10 })) {
        expect(level.signal ** 2 + level.noise ** 2).toBeCloseTo(1, 6);
      }
    }
    const flow = schedulerConfig(configs.flow);
    for (const { level } of planSteps('flowEuler', flow, { steps: 10 }))
      expect(level.signal + level.noise).toBeCloseTo(1);
  });

  it('lay a flow’s noise levels by a shift or as they are given', () => {
    const flow = schedulerConfig(configs['flow-plain']);
    const levels = (request: Partial<StepRequest>) =>
      planSteps('flowEuler', flow, { steps: 6, ...request }).map(({ level }) => Number(level.noise.toFixed(4)));
    expect(levels({ shift: 9 })).toEqual([1, 0.9783, 0.9474, 0.9, 0.8182, 0.6429]);
    expect(levels({ noiseLevels: [0.8, 0.5, 0.1, 0] })).toEqual([0.8, 0.5, 0.1]);
    expect(() => levels({ noiseLevels: [0.5, 0.8] })).toThrow(ArgumentError);
    expect(() => levels({ shift: 0 })).toThrow(/shift.*over 0/);
  });

  it('are read for their noise where the solver itself is none of ours', () => {
    const config = schedulerConfig({ ...configs.cogvideox, _class_name: 'CogVideoXDPMScheduler' });
    expect(config.solver).toBeUndefined();
    expect(planSteps('ddim', config, { steps: 10 })).toEqual(
      planSteps('ddim', schedulerConfig(configs.cogvideox), { steps: 10 }),
    );
  });

  it('refuse what does not fit the network', () => {
    const ddim = schedulerConfig(configs.ddim);
    expect(() => planSteps('flowEuler', ddim, { steps: 4 })).toThrow(/ddpm, ddim or dpmSolver\+\+/);
    expect(() => planSteps('ddim', schedulerConfig(configs.flow), { steps: 4 })).toThrow(/flowEuler/);
    expect(() => planSteps('ddim', ddim, { steps: 1001 })).toThrow(/1 to 1000/);
    expect(() => planSteps('ddim', ddim, { steps: 4, shift: 2 })).toThrow(/no flow/);
    const config = (changes: object) => () => schedulerConfig({ ...configs.dpm, ...changes });
    expect(config({ use_karras_sigmas: true })).toThrow(ModelConfigError);
    expect(config({ algorithm_type: 'sde-dpmsolver++' })).toThrow(/algorithm_type/);
    expect(config({ _class_name: 'Nobody' })).toThrow(/_class_name/);
    expect(config({ beta_start: -1 })).toThrow(/beta_start/);
  });
});
