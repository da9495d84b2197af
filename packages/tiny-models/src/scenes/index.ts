export { renderScene, type SceneImage } from './draw.ts';
export { heldOutSample, negativeKinds, type SceneSample } from './held-out.ts';
export {
  absentNouns,
  describeQuestion,
  existenceQuestions,
  type Negatives,
  presentNouns,
  type Question,
  type QuestionKind,
  questionKinds,
  readingOrder,
  sceneQuestions,
} from './questions.ts';
export {
  type ChartScene,
  type Clutter,
  drawScene,
  imageSize,
  type Level,
  levels,
  type NumberScene,
  type ObjectScene,
  type Scene,
  type SceneKind,
  type SceneObject,
} from './scene.ts';
export {
  type Colour,
  colourNames,
  colours,
  cooccurrence,
  type Noun,
  nouns,
  pluralOf,
  popularity,
  themes,
} from './words.ts';
