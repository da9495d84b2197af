import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Source file by what users write in an import, of every published package. */
export function publishedModules() {
  const modules = new Map();
  for (const group of ['packages', 'tools']) {
    for (const folder of readdirSync(join(root, group)).sort()) {
      const path = join(root, group, folder, 'package.json');
      if (!existsSync(path)) continue;
      const { name, private: isPrivate, exports = {}, publishConfig } = JSON.parse(readFileSync(path, 'utf8'));
      if (isPrivate) continue;
      for (const subpath of Object.keys(publishConfig?.exports ?? exports)) {
        const source = exports[subpath]?.['@saccade/source'];
        if (source?.endsWith('.ts')) modules.set(`${name}${subpath.slice(1)}`, join(root, group, folder, source));
      }
    }
  }
  return modules;
}

/** The API reference: pages for people, and a file for the index of names. */
export default {
  name: 'Saccade: API',
  plugin: ['./src/api/import-path-names.mjs'],
  entryPointStrategy: 'resolve',
  entryPoints: [...publishedModules().values()],
  tsconfig: 'tsconfig.api.json',
  excludePrivate: true,
  excludeInternal: true,
  skipErrorChecking: true,
  readme: 'none',
  outputs: [
    { name: 'html', path: '.site/public/api' },
    { name: 'json', path: '.site/api.json' },
  ],
  validation: { notExported: false, invalidLink: true, notDocumented: false },
  navigationLinks: { Site: '/' },
  disableSources: true,
};
