/**
 * Writes the images and questions that `tools/oracle/train_tiny_vision_language.py` trains on, as that script calls it:
 *
 *     node --conditions=@saccade/source --import tsx packages/tiny-models/training/write-scenes.ts FOLDER
 *
 * For each level it makes `level-N.u8`, u8 [scenes, 128, 128, 3], and `level-N.jsonl`, a line per scene: its kind, its questions and the
 * words of its cells. `held-out` are the first held-out scenes of all levels, `gallery` images for the encoder alone, without questions.
 */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { renderScene, type SceneImage } from '../src/scenes/draw.ts';
import { heldOutSample, type SceneSample } from '../src/scenes/held-out.ts';
import { type Question, sceneQuestions } from '../src/scenes/questions.ts';
import { drawScene, type Level, levels } from '../src/scenes/scene.ts';
import { cellWords } from './cell-words.ts';
import { drawGallery, galleryCount } from './gallery.ts';
import { scenesPerLevel, trainingSeed } from './training-scenes.ts';

const folder = process.argv[2];
if (!folder) throw new Error('Say in which folder the scenes are to be written.');
mkdirSync(folder, { recursive: true });

interface Sample {
  readonly image: SceneImage;
  readonly cells: readonly (readonly string[])[];
  readonly questions: readonly Question[];
  readonly kind: string;
  readonly level: number;
}

function write(name: string, samples: Iterable<Sample>): void {
  const images = openSync(join(folder as string, `${name}.u8`), 'w');
  const lines: string[] = [];
  for (const { image, ...rest } of samples) {
    writeSync(images, image.data);
    lines.push(`${JSON.stringify(rest)}\n`);
  }
  closeSync(images);
  writeFileSync(join(folder as string, `${name}.jsonl`), lines.join(''));
  console.log(`${name}: ${lines.length} scenes`);
}

write(
  'held-out',
  levels.flatMap((level) => Array.from({ length: 60 }, (_, index) => ofScene(heldOutSample(level, index)))),
);
for (const level of levels) {
  if (scenesPerLevel[level] > 0) write(`level-${level}`, trainingSamples(level));
}
write('gallery', galleries());

function ofScene({ level, scene, questions }: SceneSample): Sample {
  return { level, kind: scene.kind, questions, cells: cellWords(scene), image: renderScene(scene) };
}

function* galleries() {
  for (let seed = 0; seed < galleryCount; seed++) {
    yield { level: 0, kind: 'gallery', questions: [], ...drawGallery(seed) };
  }
}

function* trainingSamples(level: Level) {
  for (let index = 0; index < scenesPerLevel[level]; index++) {
    const seed = trainingSeed(level, index);
    const scene = drawScene(seed, level);
    yield ofScene({ level, scene, questions: sceneQuestions(scene, seed) });
  }
}
