import { Converter, ReflectionKind } from 'typedoc';

/**
 * TypeDoc plugin: names the modules of a package after what users write in an import. TypeDoc takes the keys of `exports`,
 * so that the main module of a package with subpaths would have no name at all and be missing from every list.
 *
 * @param {import('typedoc').Application} app
 */
export function load(app) {
  const rename = ({ project }) => {
    for (const module of project.getChildrenByKind(ReflectionKind.Module)) {
      module.name = [project.packageName, module.name].filter(Boolean).join('/');
    }
  };
  // After the listener that reads package.json into `packageName`.
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, rename, -100);
}
