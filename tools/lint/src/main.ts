import { fileURLToPath } from 'node:url';
import { checkChangesets } from './changesets.ts';
import { checkDependencyDirection } from './dependency-direction.ts';
import { checkLicences } from './licences.ts';
import { checkMethodAnatomy } from './method-anatomy.ts';
import { checkSheetChecks } from './sheet-checks.ts';
import { workspacePackages } from './workspace-package.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const packages = workspacePackages(root);
const findings = [
  ...checkDependencyDirection(packages),
  ...checkMethodAnatomy(packages),
  ...checkSheetChecks(packages),
  ...checkLicences(packages),
  ...checkChangesets(root, packages),
];
for (const { place, message } of findings) process.stderr.write(`${place}  ${message}\n`);
process.stdout.write(
  `${packages.length} packages checked: direction of imports, anatomy and checks of methods, licences, changesets; ${findings.length} findings.\n`,
);
process.exitCode = findings.length > 0 ? 1 : 0;
