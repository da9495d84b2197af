import { existenceQuestions, type Negatives, type Question, sceneQuestions } from './questions.ts';
import { drawScene, type Level, type Scene, type SceneKind } from './scene.ts';

/** A scene with its questions. */
export interface SceneSample {
  readonly level: Level;
  readonly scene: Scene;
  readonly questions: readonly Question[];
}

export const negativeKinds: readonly Negatives[] = ['random', 'popular', 'adversarial'];

/** No training scene has a seed so large. */
const firstHeldOutSeed = 2 ** 40;

/**
 * A scene that no model of this package was trained on, by number from 0. Its existence questions come with each kind of negatives;
 * their positives are the same.
 *
 * @param set Independent numbering of scenes: the bench's seed. Default 0.
 */
export function heldOutSample(level: Level, index: number, kind: SceneKind = 'any', set = 0): SceneSample {
  const seed = firstHeldOutSeed + set * 2 ** 24 + index;
  const scene = drawScene(seed, level, kind);
  const questions = sceneQuestions(scene, seed).filter((question) => question.kind !== 'existence');
  const existence =
    scene.kind === 'objects' ? negativeKinds.flatMap((negatives) => existenceQuestions(scene, negatives, 2, seed)) : [];
  return { level, scene, questions: [...existence, ...questions] };
}
