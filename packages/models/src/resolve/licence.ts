import type { WeightFile } from '../weights/types.ts';
import type { ModelFiles } from './types.ts';

/** A model card is longer than what is looked at. */
const headBytes = 1 << 16;

/** A model's licence as its GGUF metadata or its model card (README.md) names it, such as `apache-2.0`; undefined where neither does. */
export async function modelLicence(files: ModelFiles, weights: WeightFile): Promise<string | undefined> {
  const stored = weights.metadata.get('general.license');
  if (typeof stored === 'string' && stored !== '') return stored;
  if (!files.names.includes('README.md')) return undefined;
  const source = await files.open('README.md');
  try {
    const text = new TextDecoder().decode(await source.read(0, Math.min(source.size, headBytes)));
    const [, frontMatter = ''] = /^---\r?\n([\s\S]*?)\r?\n---/.exec(text) ?? [];
    const field = (name: string) => new RegExp(`^${name}:[ \\t]*(\\S.*?)[ \\t]*$`, 'm').exec(frontMatter)?.[1];
    const licence = field('license')?.replace(/^(['"])(.*)\1$/, '$2');
    return licence === 'other' ? (field('license_name') ?? licence) : licence;
  } finally {
    await source.close();
  }
}
