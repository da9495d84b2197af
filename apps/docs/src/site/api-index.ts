import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** The part of TypeDoc's JSON that is read here. */
export interface ApiReflection {
  readonly name: string;
  readonly kind: number;
  readonly children?: readonly ApiReflection[];
  readonly signatures?: readonly ApiReflection[];
  readonly comment?: { readonly summary?: readonly { readonly text: string }[] };
}

/** Folder of TypeDoc's pages and what people call the kind, by TypeDoc's number. */
const kinds: ReadonlyMap<number, readonly [folder: string, title: string]> = new Map([
  [64, ['functions', 'function']],
  [128, ['classes', 'class']],
  [256, ['interfaces', 'interface']],
  [32, ['variables', 'value']],
  [2_097_152, ['types', 'type']],
  [8, ['enums', 'enum']],
]);

/**
 * A page that lists what a module exports, with a sentence each and links to the reference.
 *
 * @param site the folder that the reference was written to, as `api`
 */
export function apiIndexPage(module: ApiReflection, site: string): string {
  const base = module.name.replaceAll('/', '_').replace('@', '_');
  const rows = [...(module.children ?? [])]
    .filter(({ kind }) => kinds.has(kind))
    .sort((a, b) => a.name.localeCompare(b.name))
    .map((member) => {
      const [folder, title] = kinds.get(member.kind) as readonly [string, string];
      const page = `api/${folder}/${base}.${member.name}.html`;
      const address = existsSync(join(site, page)) ? page : `api/modules/${base}.html#${member.name.toLowerCase()}`;
      return `| [\`${member.name}\`](/${address}){target="_self"} | ${title} | ${summary(member)} |`;
    });
  return [
    `# ${module.name}`,
    '',
    `Everything that \`import { … } from '${module.name}'\` gives; names lead to the [full reference](/api/modules/${base}.html){target="_self"}.`,
    '',
    '| name | kind | |',
    '| --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

/** The first sentence of a docstring, on one line. */
function summary({ comment, signatures }: ApiReflection): string {
  const parts = comment?.summary ?? signatures?.find((each) => each.comment)?.comment?.summary ?? [];
  const text = parts
    .map((part) => part.text)
    .join('')
    .replace(/\s+/g, ' ');
  const sentence = /^.*?[.:;](?= |$)/.exec(text)?.[0] ?? text;
  return sentence
    .replace(/[:;]$/, '')
    .replaceAll('|', '\\|')
    .replace(/[<{]/g, (sign) => (sign === '<' ? '&lt;' : '&#123;'))
    .replace(/`([^`]*)`/g, (code) => code.replaceAll('&lt;', '<').replaceAll('&#123;', '{'));
}
