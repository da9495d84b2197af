import { CreateMethodError } from './create-method-error.ts';

/** One method's name in every spelling that the package uses. */
export interface MethodNames {
  /** `key-sketch` */
  readonly slug: string;
  /** `keySketch` */
  readonly camel: string;
  /** `KeySketch` */
  readonly pascal: string;
  /** `Key sketch` */
  readonly title: string;
}

const pattern = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/;
const longest = 40;
/** Packages that are no methods, and names that the bench gives to the run without one. */
const reserved = ['core', 'models', 'tiny-models', 'bench', 'docs', 'gpu-runner', 'dense', 'greedy', 'new-method'];

/** @throws CreateMethodError `bad-slug` */
export function methodNames(slug: string): MethodNames {
  const given = JSON.stringify(slug);
  if (!pattern.test(slug) || slug.length > longest) {
    throw new CreateMethodError(
      'bad-slug',
      `${given} is no slug: lower-case letters, digits and single hyphens, a letter first, at most ${longest} (key-sketch).`,
    );
  }
  if (reserved.includes(slug)) throw new CreateMethodError('bad-slug', `${given} is reserved; choose another slug.`);
  const words = slug.split('-');
  const capital = (word: string) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`;
  const pascal = words.map(capital).join('');
  return {
    slug,
    pascal,
    camel: `${pascal.charAt(0).toLowerCase()}${pascal.slice(1)}`,
    title: capital(words.join(' ')),
  };
}

/** A text of the template with the method's names in place of the template's. */
export function renamed(text: string, { slug, camel, pascal, title }: MethodNames): string {
  return text
    .replaceAll('new-method', slug)
    .replaceAll('newMethod', camel)
    .replaceAll('NewMethod', pascal)
    .replaceAll('New method', title);
}
