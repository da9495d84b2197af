/** An import, re-export or dynamic import of a module. */
export interface ModuleImport {
  readonly specifier: string;
  readonly line: number;
  /** Erased by the compiler: `import type`, or only `type` names between the braces. */
  readonly typeOnly: boolean;
}

// One alternative each: a comment or a string that is no import; a statement with `from`; a dynamic or bare import.
const pattern =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|\b(?:import|export)\s+(type\s+)?((?:[\w$*]+\s*,?\s*)?(?:\*\s*as\s+[\w$]+\s*|\{[^}]*\}\s*)?|\*\s*)from\s*(['"])([^'"\n]+)\3|\bimport\s*\(?\s*(['"])([^'"\n]+)\5|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g;

/** Finds the imports of a TypeScript or JavaScript source. */
export function moduleImports(source: string): ModuleImport[] {
  return [...source.matchAll(pattern)].flatMap((match) => {
    const [, type, clause = '', , from, , direct] = match;
    const specifier = from ?? direct;
    if (specifier === undefined) return [];
    const line = source.slice(0, match.index).split('\n').length;
    return [{ specifier, line, typeOnly: type !== undefined || onlyTypeNames(clause) }];
  });
}

function onlyTypeNames(clause: string): boolean {
  const names =
    clause
      .match(/^\{([^}]*)\}\s*$/)?.[1]
      ?.split(',')
      .map((name) => name.trim())
      .filter(Boolean) ?? [];
  return names.length > 0 && names.every((name) => name.startsWith('type '));
}
