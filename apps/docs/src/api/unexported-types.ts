import { dirname, relative } from 'node:path';
import ts from 'typescript';

/** A type that exported declarations mention, and that no entry of its package exports. */
export interface UnexportedType {
  readonly name: string;
  /** Where it is declared, from the root of the workspace. */
  readonly file: string;
  /** The exported names that mention it. */
  readonly mentionedBy: readonly string[];
}

/**
 * Types that users meet in signatures and cannot import.
 *
 * @param modules Source file by what users write in an import.
 * @param tsconfig Path of the configuration that the files are read with.
 */
export function unexportedTypes(
  modules: ReadonlyMap<string, string>,
  tsconfig: string,
  root: string,
): UnexportedType[] {
  const { config } = ts.readConfigFile(tsconfig, ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, dirname(tsconfig));
  const program = ts.createProgram([...modules.values()], { ...options, noEmit: true });
  const checker = program.getTypeChecker();
  const resolved = (symbol: ts.Symbol) =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const exported = new Map<ts.Symbol, string>();
  for (const [module, file] of modules) {
    const source = program.getSourceFile(file);
    const symbol = source && checker.getSymbolAtLocation(source);
    for (const each of symbol ? checker.getExportsOfModule(symbol) : []) {
      if (!exported.has(resolved(each))) exported.set(resolved(each), `${module}: ${each.name}`);
    }
  }
  const found = new Map<ts.Symbol, Set<string>>();
  for (const [symbol, name] of exported) {
    for (const declaration of symbol.declarations ?? []) {
      visitSignature(declaration, (identifier) => {
        const local = checker.getSymbolAtLocation(identifier);
        if (!local) return;
        const mentioned = resolved(local);
        if (exported.has(mentioned) || !isOwnType(mentioned, root)) return;
        found.set(mentioned, (found.get(mentioned) ?? new Set()).add(name));
      });
    }
  }
  return [...found]
    .map(([symbol, names]) => ({
      name: symbol.name,
      file: relative(root, symbol.declarations?.[0]?.getSourceFile().fileName ?? ''),
      mentionedBy: [...names].sort(),
    }))
    .sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.name < b.name ? -1 : 1));
}

/** Exported by a file of the workspace, so that it has a name for others; what a file keeps to itself is part of the declarations that mention it. */
function isOwnType({ flags, declarations = [] }: ts.Symbol, root: string): boolean {
  const [declaration] = declarations;
  if (!declaration || flags & ts.SymbolFlags.TypeParameter) return false;
  const file = declaration.getSourceFile().fileName;
  const isShared = (ts.getCombinedModifierFlags(declaration as ts.Declaration) & ts.ModifierFlags.Export) !== 0;
  return isShared && file.startsWith(root) && !file.includes('/node_modules/');
}

/** Names of types in what a declaration shows: no bodies, no initial values, no constructors and private members. */
function visitSignature(node: ts.Node, onName: (name: ts.Node) => void): void {
  // Who constructs is the library; users are given instances.
  if (ts.isBlock(node) || ts.isConstructorDeclaration(node) || (ts.isClassElement(node) && isHidden(node))) return;
  if (ts.isTypeReferenceNode(node)) onName(node.typeName);
  if (ts.isExpressionWithTypeArguments(node) && ts.isIdentifier(node.expression)) onName(node.expression);
  node.forEachChild((child) => {
    const { initializer } = node as { initializer?: ts.Node };
    if (child !== initializer) visitSignature(child, onName);
  });
}

function isHidden(node: ts.ClassElement): boolean {
  if (node.name && ts.isPrivateIdentifier(node.name)) return true;
  return (ts.getCombinedModifierFlags(node) & ts.ModifierFlags.Private) !== 0;
}
