import type { MetadataValue, WeightFile } from '../weights/types.ts';
import { knownModel } from './known-models.ts';
import type { ModelFiles } from './types.ts';

/** The licence that a model comes under. */
export interface ModelLicence {
  /** As the model names it, such as `apache-2.0`. */
  readonly name: string;
  /** Where its terms stand, where the model tells or they are known. */
  readonly url?: string;
}

/** A model card is longer than what is looked at. */
const headBytes = 1 << 16;

/** Terms of use that are no usual open-source licence. */
const termsUrls: Readonly<Record<string, string>> = { gemma: 'https://ai.google.dev/gemma/terms' };

/** A licence by its name, with the address of its terms where that is known. */
export function licenceOf(
  name: string,
  url = Object.hasOwn(termsUrls, name) ? termsUrls[name] : undefined,
): ModelLicence {
  return url === undefined ? { name } : { name, url };
}

/** `gemma (https://...)` */
export function describeLicence({ name, url }: ModelLicence): string {
  return url === undefined ? name : `${name} (${url})`;
}

/**
 * A model's licence as its GGUF or safetensors metadata, its model card (README.md) or the table of known models names it;
 * undefined where none does.
 */
export async function modelLicence(files: ModelFiles, weights: WeightFile): Promise<ModelLicence | undefined> {
  const stored = (key: string) => text(weights.metadata.get(key));
  const name = stored('general.license') ?? stored('license');
  if (name !== undefined) return licenceOf(name, stored('general.license.link'));
  const field = await modelCard(files);
  const carded = field('license');
  if (carded !== undefined) {
    return licenceOf(
      carded === 'other' ? (field('license_name') ?? carded) : carded,
      webAddress(field('license_link')),
    );
  }
  const known = knownModel(files.name)?.licence;
  return known === undefined ? undefined : licenceOf(known);
}

/** Fields of the front matter of a model card. */
async function modelCard(files: ModelFiles): Promise<(name: string) => string | undefined> {
  if (!files.names.includes('README.md')) return () => undefined;
  const source = await files.open('README.md');
  try {
    const card = new TextDecoder().decode(await source.read(0, Math.min(source.size, headBytes)));
    const [, frontMatter = ''] = /^---\r?\n([\s\S]*?)\r?\n---/.exec(card) ?? [];
    return (name) =>
      new RegExp(`^${name}:[ \\t]*(\\S.*?)[ \\t]*$`, 'm').exec(frontMatter)?.[1]?.replace(/^(['"])(.*)\1$/, '$2');
  } finally {
    await source.close();
  }
}

function text(value: MetadataValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** A link of a card may be a path in its repository. */
function webAddress(link: string | undefined): string | undefined {
  return link?.startsWith('https://') ? link : undefined;
}
