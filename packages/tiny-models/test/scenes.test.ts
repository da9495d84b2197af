import { createHash } from 'node:crypto';
import { ArgumentError, RandomStream } from '@saccade/core';
import { expect, it } from 'vitest';
import {
  absentNouns,
  colourNames,
  cooccurrence,
  drawScene,
  existenceQuestions,
  heldOutSample,
  type Level,
  levels,
  type Noun,
  nouns,
  type ObjectScene,
  popularity,
  presentNouns,
  renderScene,
  type Scene,
  type SceneObject,
  sceneQuestions,
} from '../src/index.ts';
import { cellWords } from '../training/cell-words.ts';
import { scenesPerLevel, trainingSeed } from '../training/training-scenes.ts';

const objectScene = (seed: number, level: Level) => drawScene(seed, level, 'objects') as ObjectScene;
const seeds = (count: number) => Array.from({ length: count }, (_, seed) => seed);
const scenes = levels.flatMap((level) => seeds(40).map((seed) => drawScene(seed, level)));

function sceneOf(...objects: SceneObject[]): ObjectScene {
  const plain = { noiseSeed: 0, background: 0, noise: 0, lines: [], contrast: 256 };
  return { kind: 'objects', level: 1, ...plain, objects };
}

it('draws the very images that the checkpoint was trained and measured on', () => {
  const digest = (samples: Iterable<{ scene: Scene; questions: unknown }>) => {
    const hash = createHash('sha256');
    for (const { scene, questions } of samples) hash.update(renderScene(scene).data).update(JSON.stringify(questions));
    return hash.digest('hex');
  };
  const trained = levels.filter((level) => scenesPerLevel[level] > 0);
  const training = trained.flatMap((level) =>
    seeds(12).map((index) => {
      const scene = drawScene(trainingSeed(level, index), level);
      return { scene, questions: sceneQuestions(scene, trainingSeed(level, index)) };
    }),
  );
  const heldOut = levels.flatMap((level) => seeds(12).map((index) => heldOutSample(level, index)));
  expect(digest(training)).toBe('637b141df6f4b2b16007e7a5eaaff003125d8efe48dbf8b5d1f8e0cc56ba2d61');
  expect(digest(heldOut)).toBe('08ad89d706febe0f5df0c94cf803860b07d9a8a40278903995bcb66494254660');
});

it('held-out scenes are none that the model was trained on', () => {
  const key = (scene: Scene) => createHash('sha256').update(renderScene(scene).data).digest('hex');
  const known = new Set(
    levels.flatMap((level) =>
      seeds(Math.min(scenesPerLevel[level], 200)).map((i) => key(drawScene(trainingSeed(level, i), level))),
    ),
  );
  const repeated = levels.flatMap((level) =>
    seeds(60).filter((index) => known.has(key(heldOutSample(level, index).scene))),
  );
  expect(repeated).toEqual([]);
  expect(heldOutSample(2, 3, 'any', 1)).not.toEqual(heldOutSample(2, 3));
});

it('levels differ in how many objects there are, and in clutter', () => {
  const means = levels.map((level) => {
    const counts = seeds(60).map((seed) => objectScene(seed, level).objects.length);
    return counts.reduce((sum, count) => sum + count, 0) / counts.length;
  });
  expect(means).toEqual([...means].sort((a, b) => a - b));
  expect(means[0]).toBeLessThan(3);
  expect(means[4]).toBeGreaterThan(12);
  expect(() => drawScene(0, 6 as Level)).toThrow(ArgumentError);
});

it('every noun has a shape of its own, inside its radius', () => {
  const drawings = nouns.map((noun) => {
    const { data } = renderScene(sceneOf({ noun, colour: 'white', x: 64, y: 64, radius: 9 }));
    const lit = [...data.keys()].filter((at) => at % 3 === 0 && (data[at] as number) > 0).map((at) => at / 3);
    expect(lit.length).toBeGreaterThan(30);
    for (const pixel of lit) {
      expect(Math.abs((pixel % 128) - 64)).toBeLessThanOrEqual(9);
      expect(Math.abs(Math.floor(pixel / 128) - 64)).toBeLessThanOrEqual(9);
    }
    return lit.join();
  });
  expect(new Set(drawings).size).toBe(nouns.length);
});

it('later objects cover earlier ones, and objects at the edge are cut', () => {
  const at = (colour: SceneObject['colour'], x: number): SceneObject => ({
    noun: 'square',
    colour,
    x,
    y: 5,
    radius: 8,
  });
  const { data } = renderScene(sceneOf(at('red', 6), at('blue', 6)));
  expect([...data.slice((5 * 128 + 6) * 3, (5 * 128 + 6) * 3 + 3)]).toEqual([50, 80, 230]);
  expect(() => renderScene(sceneOf(at('red', -3), at('red', 130)))).not.toThrow();
});

it('existence questions are balanced, and their negatives are absent', () => {
  for (const negatives of ['random', 'popular', 'adversarial'] as const) {
    const answers: string[] = [];
    for (const seed of seeds(60)) {
      const scene = objectScene(seed, 3);
      const present: readonly string[] = presentNouns(scene);
      for (const { text, answer } of existenceQuestions(scene, negatives, 3, seed)) {
        const noun = /^Is there an? (\w+)\?$/.exec(text)?.[1] as string;
        expect(present.includes(noun)).toBe(answer === 'yes');
        answers.push(answer);
      }
    }
    expect(answers.filter((answer) => answer === 'yes')).toHaveLength(answers.length / 2);
  }
});

it('popular negatives are the most frequent nouns, adversarial ones those that occur with the scene’s own', () => {
  const scene = sceneOf({ noun: 'square', colour: 'red', x: 20, y: 20, radius: 7 });
  const random = () => new RandomStream(1);
  expect(absentNouns(scene, 'popular', random()).slice(0, 2)).toEqual(['star', 'circle']);
  expect(absentNouns(scene, 'adversarial', random()).slice(0, 2)).toEqual(['triangle', 'diamond']);
  const firsts = new Set(seeds(40).map((seed) => absentNouns(scene, 'random', new RandomStream(seed))[0]));
  expect(firsts.size).toBeGreaterThan(8);
});

it('scenes have the frequencies that `popularity` and `cooccurrence` state', () => {
  const many = seeds(1500).map((seed) => objectScene(seed, 4).objects);
  const total = many.reduce((sum, objects) => sum + objects.length, 0);
  const pair = (a: Noun, b: Noun) =>
    many.filter(([first, second]) => first?.noun === a && second?.noun === b).length / many.length;
  for (const noun of nouns) {
    const share = many.flat().filter((object) => object.noun === noun).length / total;
    expect(Math.abs(share - popularity(noun))).toBeLessThan(0.03);
  }
  expect(nouns.reduce((sum, noun) => sum + popularity(noun), 0)).toBeCloseTo(1, 12);
  expect(nouns.flatMap((a) => nouns.map((b) => cooccurrence(a, b))).reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 12);
  for (const [a, b] of [
    ['star', 'moon'],
    ['circle', 'heart'],
    ['star', 'heart'],
    ['cross', 'ring'],
  ] as const) {
    expect(Math.abs(pair(a, b) - cooccurrence(a, b))).toBeLessThan(0.02);
  }
});

it('answers are true', () => {
  let asked = 0;
  for (const [seed, scene] of scenes.entries()) {
    for (const { kind, text, answer } of sceneQuestions(scene, seed)) {
      asked++;
      expect(trueAnswer(scene, text), `${kind}: ${text}`).toBe(answer);
    }
  }
  expect(asked).toBeGreaterThan(1000);
});

it('each object is named by the cell of its centre, unless another covers it', () => {
  const scene = objectScene(5, 1);
  const words = cellWords(scene);
  for (const { noun, colour, x, y } of scene.objects) {
    expect(words[Math.floor(y / 16) * 8 + Math.floor(x / 16)]).toEqual([colour, noun]);
  }
  expect(words.filter((cell) => cell.length > 0)).toHaveLength(scene.objects.length);
});

/** Answers a question by looking at the scene, worked out another way than the generator does. */
function trueAnswer(scene: Scene, text: string): string {
  const words = text.replace(/[?.]$/, '').split(' ');
  if (scene.kind === 'number') {
    if (words.includes('number')) return scene.digits.map(String).join(' ');
    return String(scene.digits[words.includes('first') ? 0 : scene.digits.length - 1]);
  }
  if (scene.kind === 'chart') {
    const value = (colour: string | undefined) => scene.bars.find((bar) => bar.colour === colour)?.value ?? Number.NaN;
    const named = words.filter((word): word is (typeof colourNames)[number] =>
      colourNames.some((name) => name === word),
    );
    if (words.includes('highest') || words.includes('lowest')) {
      const values = scene.bars.map((bar) => bar.value);
      const wanted = words.includes('highest') ? Math.max(...values) : Math.min(...values);
      return scene.bars.find((bar) => bar.value === wanted)?.colour as string;
    }
    if (named.length === 1) return String(value(named[0]));
    return value(named[0]) > value(named[1]) ? 'yes' : 'no';
  }
  const named = nouns.filter((noun) => words.includes(noun));
  const find = (noun: string | undefined) => scene.objects.filter((object) => object.noun === noun);
  if (text.startsWith('Is there')) return find(named[0]).length > 0 ? 'yes' : 'no';
  if (text.startsWith('How many')) {
    const noun = nouns.find((each) => text.includes(` ${each}`) && find(each).length > 0);
    return String(find(noun).length);
  }
  if (text.startsWith('What colour')) return find(named[0])[0]?.colour as string;
  if (text.startsWith('Where')) {
    const [{ x, y } = { x: 0, y: 0 }] = find(named[0]);
    return `${y < 64 ? 'top' : 'bottom'} ${x < 64 ? 'left' : 'right'}`;
  }
  if (text.startsWith('Describe')) {
    const rows = Array.from({ length: 8 }, (_, row) =>
      scene.objects.filter(({ y }) => Math.floor(y / 16) === row).sort((a, b) => a.x - b.x),
    );
    return `${rows
      .flat()
      .map((object) => `${object.colour} ${object.noun}`)
      .join(', ')}.`;
  }
  const [a] = find(words[2]);
  const [b] = find(words.at(-1));
  if (!a || !b) throw new Error(text);
  const holds = { left: a.x < b.x, right: a.x > b.x, above: a.y < b.y, below: a.y > b.y };
  const [, ...alternatives] = /(\w+) or (\w+)/.exec(text) as string[];
  return alternatives.filter((word) => holds[word as keyof typeof holds]).join();
}
