import { copyInto, type Gpu, type Tensor } from '@saccade/core';
import { AdamW, CausalLm, Initializer, moduleGradients } from '@saccade/core/nn';
import { vocabulary } from '../measure/training-shape.ts';
import { type PreparedWork, timed } from './runner.ts';
import { adam, comparedSteps, normEpsilon, type TrainingWork, trainingBatch, trainingParameters } from './training.ts';

/** A training step with this project's modules and optimizer. */
export function prepareTraining(gpu: Gpu, work: TrainingWork): PreparedWork {
  const { layers, hiddenSize, heads, intermediateSize, batch, length } = work;
  const model = new CausalLm(new Initializer(gpu), {
    ...{ vocabularySize: vocabulary, hiddenSize, layers, heads, intermediateSize, contextLength: length, normEpsilon },
  });
  const { ids, targets } = trainingBatch(work);
  const [input, output] = [ids, targets].map((list) => gpu.keep(gpu.tensor(list, [batch, length], 'u32'))) as [
    Tensor,
    Tensor,
  ];
  let optimizer: AdamW | undefined;
  const restart = () => {
    optimizer?.dispose();
    optimizer = new AdamW(model.parameters(), { ...adam, weightDecay: 0 });
    const own = model.stateDict();
    for (const { name, shape, data } of trainingParameters(work)) {
      gpu.tidy(() => copyInto(own.get(name) as Tensor, gpu.tensor(data, shape)));
    }
  };
  const step = () =>
    gpu.tidy(() => {
      const { loss, gradients } = moduleGradients(model, () => model.loss(input, output));
      optimizer?.step(gradients);
      return loss;
    });
  const lossOfStep = async () => {
    const loss = gpu.keep(step());
    const [value = Number.NaN] = await loss.read();
    loss.dispose();
    return value;
  };
  restart();
  return {
    run: () => timed(lossOfStep),
    output: async () => {
      restart();
      const losses: number[] = [];
      while (losses.length < comparedSteps) losses.push(await lossOfStep());
      return losses;
    },
    dispose: () => {
      optimizer?.dispose();
      model.dispose();
      input.dispose();
      output.dispose();
    },
  };
}
