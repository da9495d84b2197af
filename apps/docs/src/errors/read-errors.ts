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
      },
    ];
  });
}

function isExported(statement: ts.ClassDeclaration): boolean {
  return statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;
}

/** From `super('code', …)`, or from the type of the parameter that the constructor passes on as the code. */
function codesOf(declaration: ts.ClassDeclaration, file: ts.SourceFile): string[] {
  const builder = declaration.members.find(ts.isConstructorDeclaration);
  const first = builder?.body && superCall(builder.body)?.arguments[0];
  if (!first) return [];
  if (ts.isStringLiteral(first)) return [first.text];
  const parameter = builder.parameters.find((candidate) => candidate.name.getText(file) === first.getText(file));
  return parameter?.type ? literals(parameter.type, file) : [];
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
  const alias = file.statements.find(
    (statement): statement is ts.TypeAliasDeclaration =>
      ts.isTypeAliasDeclaration(statement) && statement.name.text === type.getText(file),
  );
  return alias ? literals(alias.type, file) : [];
}

function descriptionOf(declaration: ts.ClassDeclaration): string {
  const comments = ts.getJSDocCommentsAndTags(declaration).filter(ts.isJSDoc);
  const text = comments.map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? '').join(' ');
  const plain = text.replaceAll(/\{@link (\w+)\}/g, '`$1`');
  return plain.replaceAll(/\s+/g, ' ').trim();
}
