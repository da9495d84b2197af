import type { DiffusionPipeline } from '@saccade/models';

/** An image of a class, with the share of the work that is done told on the way. */
export async function paint(pipeline: DiffusionPipeline, classLabel: number): Promise<Uint8ClampedArray> {
  using result = await pipeline.generate({
    classLabel,
    steps: 20,
    guidance: 4,
    seed: 7,
    onProgress: (share) => console.log(`${Math.round(100 * share)}%`),
  });
  const { data } = await result.rgba();
  return data;
}
