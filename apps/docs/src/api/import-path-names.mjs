import { Converter, ReflectionKind } from 'typedoc';
import { publishedModules } from '../../typedoc.config.mjs';

/**
 * TypeDoc plugin: names modules after what users write in an import, where TypeDoc would name them after their files.
 *
 * @param {import('typedoc').Application} app
 */
export function load(app) {
  const names = new Map([...publishedModules()].map(([name, file]) => [file, name]));
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (reflection.kind !== ReflectionKind.Module) return;
    const file = context.getSymbolFromReflection(reflection)?.declarations?.[0]?.getSourceFile().fileName;
    reflection.name = names.get(file) ?? reflection.name;
  });
}
