import { CreateMethodError } from './create-method-error.ts';

/** One method's name in every spelling that the package uses. */
export interface MethodNames {
  /** `key-sketch` */
  readonly slug: string;
  /** `keySketch`; `varMethod` where the name is a word of the language. */
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

/** Words that no function can be called by. */
const keywords = new Set(
  (
    'await break case catch class const continue debugger default delete do else enum export extends false finally for function if ' +
    'implements import in instanceof interface let new null package private protected public return static super switch this throw ' +
    'true try typeof var void while with yield'
  ).split(' '),
);

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
  const camel = `${pascal.charAt(0).toLowerCase()}${pascal.slice(1)}`;
  return {
    slug,
    pascal,
    camel: keywords.has(camel) ? `${camel}Method` : camel,
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
