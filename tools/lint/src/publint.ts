import { fileURLToPath } from 'node:url';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { workspacePackages } from './workspace-package.ts';

/* Packs every published package as it would be uploaded and checks what is in it. Needs `pnpm build` first. */
const root = fileURLToPath(new URL('../../../', import.meta.url));
let failed = false;
for (const { folder, manifest } of workspacePackages(root).filter((candidate) => candidate.manifest.private !== true)) {
  const { messages, pkg } = await publint({ pkgDir: folder, pack: 'pnpm', level: 'warning', strict: true });
  failed ||= messages.length > 0;
  process.stdout.write(`${manifest.name}: ${messages.length === 0 ? 'ok' : ''}\n`);
  for (const message of messages) process.stdout.write(`  ${formatMessage(message, pkg) ?? message.code}\n`);
}
process.exitCode = failed ? 1 : 0;
