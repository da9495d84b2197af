/** Packages whose names an example may use without an import, as an editor completes them. */
const packages = ['@saccade/core', '@saccade/models', '@saccade/tidaldecode'];

/**
 * An example as a module. One that has no import at all, as the first lines of the README, gets the imports of what it calls;
 * others stay as they are.
 */
export async function completed(text: string): Promise<string> {
  if (/^import /m.test(text)) return `${text}\nexport {};\n`;
  const called = new Set([...text.matchAll(/\b([a-z]\w*)\(/g)].map(([, name = '']) => name));
  const imports: string[] = [];
  for (const name of packages) {
    const used = Object.keys((await import(name)) as object).filter((each) => called.delete(each));
    if (used.length > 0) imports.push(`import { ${used.join(', ')} } from '${name}';`);
  }
  return `${imports.join('\n')}\n${text}\nexport {};\n`;
}
