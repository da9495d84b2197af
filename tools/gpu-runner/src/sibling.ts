import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Whether this copy of the package runs from its TypeScript source, that is inside the workspace. */
export const runsFromSource = import.meta.url.endsWith('.ts');

/** The path of a module beside this one: `.ts` in the workspace, `.js` in the published package. */
export function siblingModule(name: string): string {
  return fileURLToPath(new URL(`./${name}.${runsFromSource ? 'ts' : 'js'}`, import.meta.url));
}

/** Node flags that let a child process load TypeScript, with source maps. */
export function typeScriptFlags(): string[] {
  return ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href];
}

/** Node flags that make workspace packages resolve to their source; none outside the workspace. */
export function sourceConditionFlags(): string[] {
  return runsFromSource ? ['--conditions=@saccade/source'] : [];
}
