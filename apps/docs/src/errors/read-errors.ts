import ts from 'typescript';

/** An error class as its source declares it. */
export interface ErrorClass {
  readonly name: string;
  /** The class that it extends. */
  readonly parent: string;
  /** Values that its `code` may have; empty for a base class, which leaves them to its subclasses. */
  readonly codes: readonly string[];
  /** Its docstring, without line breaks. */
  readonly description: string;
  /** What each code means, where a type of the same file has a list of them in its docstring. */
  readonly meanings: readonly CodeMeaning[];
}

/** An item of a list of codes; several codes may share one. */
export interface CodeMeaning {
  readonly codes: readonly string[];
  readonly meaning: string;
}

/** The exported classes of a TypeScript source that extend a class whose name ends in `Error`. */
export function readErrors(source: string, fileName = 'source.ts'): ErrorClass[] {
  const file = ts.createSourceFile(fileName, source, ts.ScriptTarget.Latest, true);
  return file.statements.flatMap((statement) => {
    if (!ts.isClassDeclaration(statement) || !statement.name || !isExported(statement)) return [];
    const parent = statement.heritageClauses?.[0]?.types[0]?.expression.getText(file) ?? '';
    if (!parent.endsWith('Error')) return [];
    return [
      {
        name: statement.name.text,
        parent,
        codes: codesOf(statement, file),
        description: descriptionOf(statement),
        meanings: meaningsOf(statement, file),
      },
    ];
  });
}

function isExported(statement: ts.ClassDeclaration): boolean {
  return statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;
}

/** From `super('code', …)`, or from the type of the parameter that the constructor passes on as the code. */
function codesOf(declaration: ts.ClassDeclaration, file: ts.SourceFile): string[] {
  const first = codeArgument(declaration);
  if (first && ts.isStringLiteral(first)) return [first.text];
  const type = codeType(declaration, file);
  return type ? literals(type, file) : [];
}

function codeArgument(declaration: ts.ClassDeclaration): ts.Expression | undefined {
  const builder = declaration.members.find(ts.isConstructorDeclaration);
  return builder?.body && superCall(builder.body)?.arguments[0];
}

/** The declared type of the constructor's parameter that is the code. */
function codeType(declaration: ts.ClassDeclaration, file: ts.SourceFile): ts.TypeNode | undefined {
  const builder = declaration.members.find(ts.isConstructorDeclaration);
  const name = codeArgument(declaration)?.getText(file);
  return builder?.parameters.find((candidate) => candidate.name.getText(file) === name)?.type;
}

function superCall(body: ts.Block): ts.CallExpression | undefined {
  for (const statement of body.statements) {
    if (!ts.isExpressionStatement(statement) || !ts.isCallExpression(statement.expression)) continue;
    if (statement.expression.expression.kind === ts.SyntaxKind.SuperKeyword) return statement.expression;
  }
  return undefined;
}

/** The string literals of a union, also behind an alias in the same file. */
function literals(type: ts.TypeNode, file: ts.SourceFile): string[] {
  if (ts.isUnionTypeNode(type)) return type.types.flatMap((member) => literals(member, file));
  if (ts.isLiteralTypeNode(type) && ts.isStringLiteral(type.literal)) return [type.literal.text];
  const alias = aliasOf(type, file);
  return alias ? literals(alias.type, file) : [];
}

function aliasOf(type: ts.TypeNode, file: ts.SourceFile): ts.TypeAliasDeclaration | undefined {
  const name = type.getText(file);
  return file.statements.find(
    (statement): statement is ts.TypeAliasDeclaration =>
      ts.isTypeAliasDeclaration(statement) && statement.name.text === name,
  );
}

/** The items `- \`code\`, \`code\`: meaning` in the docstring of the codes' type. */
function meaningsOf(declaration: ts.ClassDeclaration, file: ts.SourceFile): CodeMeaning[] {
  const type = codeType(declaration, file);
  const alias = type && aliasOf(type, file);
  if (!alias) return [];
  return [...docstring(alias).matchAll(/^- ((?:`[^`]+`,?\s?)+): ([\s\S]*?)(?=\n- |\n\n|$(?![\s\S]))/gm)].map(
    ([, codes = '', meaning = '']) => ({
      codes: [...codes.matchAll(/`([^`]+)`/g)].map((match) => match[1] as string),
      meaning: oneLine(meaning),
    }),
  );
}

function descriptionOf(declaration: ts.ClassDeclaration): string {
  return oneLine(docstring(declaration));
}

function docstring(declaration: ts.Node): string {
  const comments = ts.getJSDocCommentsAndTags(declaration).filter(ts.isJSDoc);
  return comments.map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? '').join('\n');
}

function oneLine(text: string): string {
  const plain = text.replaceAll(/\{@link (\w+)\}/g, '`$1`');
  return plain.replaceAll(/\s+/g, ' ').trim();
}
